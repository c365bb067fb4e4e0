import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { figureEntries, KEYED_FILES, SINGLE_FILES } from "./figures.ts";

const KERNEL = join(import.meta.dirname, "../fixtures/linux-6.12");

/** Not in the files of this kernel, because few kernels have it. */
const RARE = "pidsForks";

it.each(figureEntries.filter(([name]) => name !== RARE))(
  "%s is in the files of a kernel",
  (_, { source: [file, key] }) => {
    const text = readFileSync(join(KERNEL, file), "latin1");
    const value =
      key === undefined
        ? SINGLE_FILES[file as keyof typeof SINGLE_FILES](text)
        : KEYED_FILES[file as keyof typeof KEYED_FILES](text).get(key);
    expect(value).toEqual(expect.any(Number));
    // The parser of io.stat returns 0 for missing keys.
    if (key !== undefined) expect(text).toMatch(new RegExp(`\\b${key}[ =]`));
  },
);
