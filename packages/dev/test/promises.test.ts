/** Checks that the tests named in docs/promises.md exist. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const packages = fileURLToPath(new URL("../..", import.meta.url));
const text = readFileSync(new URL("../../../docs/promises.md", import.meta.url), "utf8");

/** Joins strings that the source concatenates, and removes the backslashes before quotes. */
const plain = (source: string) => source.replaceAll(/"\s*\+\s*"|\\(?=["'`])/g, "");

describe("docs/promises.md", () => {
  const promises = text.split(/^- /m).slice(1);

  test.each(promises.map((promise) => [promise.split("\n")[0] ?? "", promise]))(
    "%s",
    (_, promise) => {
      const tests = [...promise.matchAll(/^ {2}`([^`]+)`(?:: (.+))?$/gm)];
      expect(tests.length).toBeGreaterThan(0);
      for (const [, path = "", title = ""] of tests) {
        expect(existsSync(`${packages}/${path}`), path).toBe(true);
        if (title !== "")
          expect(plain(readFileSync(`${packages}/${path}`, "utf8"))).toContain(title);
      }
    },
  );
});
