/** Tests that, beside other services, the module changes no real account, group or membership. */
import { copyFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { beforeEach, describe, expect, it } from "vitest";
import {
  alice,
  container,
  entry,
  env,
  gid,
  group,
  passwd,
  prepareContainer,
  python,
  titled,
  uid,
} from "./container.ts";
import type { Who } from "./image.ts";

/** Returns `who` with an environment that claims this name. */
const claiming = (LOGNAME: string, who: Who = alice): Who => ({ ...who, env: { ...env, LOGNAME } });

describe.skipIf(missing("root", "gcc", "git", "ssh", "python3"))("in a container", () => {
  prepareContainer();
  const print = (who: Who, ...command: string[]) => container.print(who, ...command);

  describe("an earlier service", () => {
    beforeEach(() => {
      container.install();
    });

    it("wins for a uid and a gid that it knows", () => {
      const known = claiming("mallory", { uid: 1000, gid: 44 });
      expect(print(known, "id")).toBe("uid=1000(bob) gid=44(video) groups=44(video)\n");
      expect(print(known, "getent", "passwd", "1000")).toContain("bob:x:1000:1000:Bob:");
    });

    it("wins for a name that it knows", () => {
      expect(print(claiming("bob"), "getent", "passwd", "bob")).toContain("bob:x:1000:");
      expect(print(claiming("bob"), "id", "-u", "bob")).toBe("1000\n");
    });

    it("keeps its groups: the module finds no group by name, and adds no member to any", () => {
      expect(print(claiming("staff"), "getent", "group", "staff")).toBe("staff:x:50:bob\n");
      expect(container.run(alice, "getent", "group", "alice").status).toBe(2);
      expect(print(alice, "getent", "group")).toBe(group);
    });

    it("wins if its groups are merged with those of the next", () => {
      container.write("/etc/nsswitch.conf", "passwd: files\ngroup: files [SUCCESS=merge]\n");
      container.install();
      expect(container.read("/etc/nsswitch.conf")).toContain("[SUCCESS=merge] cm4all_logname\n");
      for (const name of ["alice", "video"])
        expect(print(claiming(name, { uid, gid: 44 }), "getent", "group", "44")).toBe(
          "video:x:44:bob,alice\n",
        );
      expect(print(alice, "getent", "group", String(gid))).toBe(`alice:x:${gid}:\n`);
    });

    it("is listed first, and our entry once", () => {
      expect(print(alice, "getent", "passwd")).toBe(passwd + entry);
      const twice = python("print([p.pw_name for p in pwd.getpwall() + pwd.getpwall()])");
      expect(print(alice, ...twice)).toBe("['root', 'bob', 'alice', 'root', 'bob', 'alice']\n");
    });
  });

  it("a later service answers all other lookups", () => {
    container.install();
    container.write(
      "/etc/nsswitch.conf",
      "passwd: cm4all_logname files\ngroup: cm4all_logname files\n",
    );
    for (const name of ["alice", "bob"]) {
      const who = claiming(name);
      expect(print(who, "getent", "passwd", String(uid))).toContain(`${name}:x:${uid}:`);
      expect(print(who, "getent", "passwd", "1000")).toContain("bob:x:1000:");
      expect(print(who, "getent", "group", "video")).toBe("video:x:44:bob,alice\n");
      expect(print(who, "id", "-G", "root")).toBe("0\n");
    }
    expect(print(alice, "id", "-G", "bob")).toBe("1000 44 50\n");
  });

  describe("supplementary groups", () => {
    const root: Who = { uid: 0, gid: 0 };
    const initgroups = (name: string, base: number) =>
      python(`os.initgroups('${name}', ${base}); print(os.getgroups())`);
    const groupList = (name: string, base: number) =>
      python(`print(os.getgrouplist('${name}', ${base}))`);

    it.each(
      titled<{ who: Who; command: string[]; expected: string }>([
        { who: claiming("root", root), command: ["id", "-G", "bob"], expected: "1000 44 50\n" },
        {
          who: claiming("root", root),
          command: initgroups("bob", 1000),
          expected: "[44, 50, 1000]\n",
        },
        { who: claiming("root", root), command: initgroups("carol", 7), expected: "[7]\n" },
        // LOGNAME is the name of a member, or of a group.
        {
          who: claiming("alice", root),
          command: initgroups("alice", gid),
          expected: `[44, ${gid}]\n`,
        },
        {
          who: claiming("video", { uid: 0, gid }),
          command: initgroups("bob", 1000),
          expected: "[44, 50, 1000]\n",
        },
        {
          who: claiming("video", { uid: 0, gid }),
          command: initgroups("video", gid),
          expected: `[${gid}]\n`,
        },
        {
          who: alice,
          command: ["getent", "initgroups", "alice"],
          expected: "alice                 44\n",
        },
        {
          who: alice,
          command: ["getent", "initgroups", "bob"],
          expected: "bob                   44 50\n",
        },
        { who: alice, command: groupList("alice", gid), expected: `[${gid}, 44]\n` },
        { who: alice, command: groupList("bob", 1000), expected: "[1000, 44, 50]\n" },
        { who: alice, command: ["id", "-G"], expected: `${gid}\n` },
        {
          who: { ...alice, groups: [44, 50, 12345] },
          command: ["id", "-G"],
          expected: `${gid} 44 50 12345\n`,
        },
      ]),
    )("are the same with the module: %s", (_, { who, command, expected }) => {
      expect(print(who, ...command)).toBe(expected);
      container.install();
      expect(print(who, ...command)).toBe(expected);
    });

    it("of the module's user are the real groups that list the user's name", () => {
      container.install();
      expect(print(alice, "id", "-G", "alice")).toBe(`${gid} 44\n`);
    });
  });

  describe("install works with an nsswitch.conf", () => {
    const fixtures = join(import.meta.dirname, "../fixtures/nsswitch");

    it.each(readdirSync(fixtures).filter((name) => name.endsWith(".conf")))("like %s", (name) => {
      copyFileSync(join(fixtures, name), join(container.root, "etc/nsswitch.conf"));
      expect(container.run(alice, "whoami").status).toBe(1);
      container.install();
      expect(print(alice, "id")).toBe(`uid=${uid}(alice) gid=${gid}(alice) groups=${gid}(alice)\n`);
      expect(print(alice, "id", "-G", "bob")).toBe("1000 44 50\n");
      expect(print({ ...alice, uid: 1000, gid: 44 }, "id", "-un")).toBe("bob\n");
    });

    it.each([
      ["that is empty", ""],
      ["with a last line without a newline", "passwd: files\ngroup: files"],
      ["with lines without services", "passwd:\ngroup:\n"],
      ["with comments after services", "passwd: files # a\ngroup: files\t# b\n"],
      ["with other white space", " passwd :\tfiles\r\ngroup:files[UNAVAIL=continue]sss\r\n"],
    ])("%s", (_, text) => {
      container.write("/etc/nsswitch.conf", text);
      container.install();
      expect(print(alice, "id")).toContain(`uid=${uid}(alice) gid=${gid}(alice)`);
    });
  });
});
