/** Fuzzes the code that reads the directory of a name in the namespaces' store after a restart. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subject } from "@cm4all/testing/fuzz";
import { KEPT_KINDS } from "../src/namespaces/names/kinds.ts";
import { NameDirectory } from "../src/namespaces/names/name-directory.ts";

const directory = mkdtempSync(join(tmpdir(), "fuzz-store-"));
const path = join(directory, "1");

const files = Object.values(KEPT_KINDS).map(({ file }) => file);

/** Each line of an input is `FILE CONTENT`: a file in the directory of a name, and its content. */
export const subject: Subject = {
  name: "store",
  tokens: [
    ...["name", "uid", "lease", "-", ".maps", " ", "\n", "0", "9"],
    ...files.flatMap((file) => [file, `${file}-1`, `${file}-1.maps`]),
  ],
  samples: ["name web\nuid 1000\n", ...files.map((file) => `name web\nuid 1000\n${file} \n`)],
  read: (input) => {
    mkdirSync(path);
    try {
      for (const line of input.toString("latin1").split("\n").slice(0, 20)) {
        const [name = "", ...content] = line.replace(/[/\0]/g, "").slice(0, 120).split(" ");
        if (name !== "" && name !== "." && name !== "..")
          writeFileSync(join(path, name), content.join(" "), "latin1");
      }
      const stored = new NameDirectory(path).tryRead(() => {});
      // Nothing is mounted in the directory, so finding a namespace is a bug.
      if (stored !== undefined && (stored.name === "" || stored.namespaces.length > 0))
        throw new Error("a namespace was found where there is none");
      new NameDirectory(path).remove();
      mkdirSync(path);
    } finally {
      rmSync(path, { recursive: true, force: true });
    }
  },
  close: () => rmSync(directory, { recursive: true, force: true }),
};
