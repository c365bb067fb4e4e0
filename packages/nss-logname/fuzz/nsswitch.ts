/** Fuzzes the parsers for an untrusted image's nsswitch.conf and its libraries' ELF headers. */
import type { Subject } from "@cm4all/testing/fuzz";
import { addService, removeService } from "../src/edit.ts";
import { parseArchitecture } from "../src/elf.ts";
import { NsswitchError, parseNsswitch, printNsswitch } from "../src/nsswitch.ts";

function attempt(edit: () => string): string | undefined {
  try {
    return edit();
  } catch (error) {
    if (error instanceof NsswitchError) return undefined;
    throw error;
  }
}

export const subject: Subject = {
  name: "nsswitch",
  tokens: [
    ..."passwd group : files sss compat [NOTFOUND=return] [!UNAVAIL=return cm4all_logname".split(
      " ",
    ),
    ...["[SUCCESS=merge]", " ", "\t", "\r", "\n", "#", "[", "]", "!", "=", "\u007fELF", "\0"],
  ],
  read: (input) => {
    parseArchitecture(input);
    const text = input.toString("latin1");
    const printed = attempt(() => printNsswitch(parseNsswitch(text)));
    if (printed !== undefined && printed !== text) throw new Error("other bytes");
    const added = attempt(() => addService(text));
    if (added === undefined) return;
    if (attempt(() => addService(added)) !== added) throw new Error("a second addition changes it");
    const removed = removeService(added);
    if (removeService(removed) !== removed) throw new Error("a second removal changes it");
  },
};
