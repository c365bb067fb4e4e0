/**
 * Fuzzes the parsers of /etc/passwd, of the command line and status of a process that may be an
 * init, and of /proc/self/cgroup.
 */
import type { Subject } from "@cm4all/testing/fuzz";
import { parseUser } from "../src/accounting/terms/user.ts";
import { tryParseInitName } from "../src/namespaces/names/init.ts";
import { parseOwnCgroup } from "../src/systemd/own-cgroup.ts";

const NAME = "somebody";

export const subject: Subject = {
  name: "passwd",
  tokens: [
    ..."somebody : x 0 1000 -1 4294967294 4294967295 0x10 1e3 root /home/x catatonit init".split(
      " ",
    ),
    ...["\n", "\0", " ", "\t", "Name:\t", "0::/", "CapBnd:\t"],
  ],
  read: (input) => {
    const text = input.toString();
    try {
      const user = parseUser(text, NAME);
      for (const id of user === undefined ? [] : [user.uid, user.gid])
        if (!Number.isInteger(id) || id < 0 || id > 0xfffffffe) throw new TypeError(`an id ${id}`);
      if (user !== undefined && !text.includes(`${NAME}:`)) throw new TypeError("nobody's entry");
    } catch (error) {
      if (error instanceof TypeError || !String(error).includes("/etc/passwd: ")) throw error;
    }
    const [command = "", status = ""] = text.split("\0\0");
    tryParseInitName(command, status);
    parseOwnCgroup(input.toString("latin1"));
  },
};
