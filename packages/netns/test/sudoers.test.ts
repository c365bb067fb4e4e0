/** Tests the examples' sudo rule with sudo's own parser; the manual page has the same rule. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { missing, unpackedLibraries, unpackedProgram } from "@cm4all/testing";
import { snippetsOfManual } from "@cm4all/testing/snippets";
import { describe, expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

/** Returns the exit status of `visudo`, and what it prints. */
function check(rules: string) {
  const visudo = unpackedProgram("visudo");
  const { status, stdout, stderr } = spawnSync(visudo, ["--check", "--strict", "--file=-"], {
    input: rules,
    encoding: "utf8",
    env: { LD_LIBRARY_PATH: unpackedLibraries(visudo), LC_ALL: "C" },
  });
  return { status, output: stdout + stderr };
}

describe.skipIf(missing("visudo") !== undefined)("the rule for sudo", () => {
  const example = read("examples/netns/sudoers");
  const shown = snippetsOfManual(read("docs/man/cm4all-spawn-netns.8")).find(({ text }) =>
    text.startsWith("alice "),
  );

  it("is accepted by sudo", () => {
    expect(check(example)).toEqual({ status: 0, output: expect.stringContaining("parsed OK") });
    expect(check(example.replace("=(root)", "(root)")).status).toBe(1);
  });

  it("is the same in the manual page", () => {
    expect(example.split("\n")).toContain(shown?.text);
  });
});
