/** Tests that the manual pages list the exit statuses that the sources use, and no others. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const textOf = (path: string) => readFileSync(join(root, path), "utf8");

/** The statuses by name, such as EX_USAGE. */
const STATUSES = new Map(
  [...textOf("packages/command/src/sysexits.ts").matchAll(/^export const (\w+) = (\d+);/gm)].map(
    ([, name = "", status]) => [name, Number(status)],
  ),
);

/** The packages, each with the manual pages of its command. */
const PAGES: readonly [string, readonly string[]][] = [
  ["spawn", ["cm4all-spawn.8", "cm4all-spawn-accounting.8"]],
  ["client", ["cm4all-spawn-client.1"]],
  ["netns", ["cm4all-spawn-netns.8"]],
  ["slice", ["cm4all-slice.8"]],
  ["nss-logname", ["cm4all-logname.8"]],
];

/**
 * The statuses with which every command can end: those for a defect, a refusal by the system, and
 * output that cannot be written.
 */
const GENERAL = statusesOf("command", /^(?:failure|output)\.ts$/);

/** Returns the statuses whose names occur in the sources of a package. */
function statusesOf(name: string, files = /(?<!\.test|sysexits)\.ts$/): Set<number> {
  const directory = `packages/${name}/src`;
  const statuses = readdirSync(join(root, directory), { recursive: true, encoding: "utf8" })
    .filter((file) => files.test(file))
    .flatMap((file) => textOf(join(directory, file)).match(/\bEX_[A-Z]+\b/g) ?? [])
    .map((found) => STATUSES.get(found) ?? Number.NaN);
  return new Set(statuses.filter((status) => status !== STATUSES.get("EX_OK")));
}

function statusesInPage(page: string): number[] {
  const [, section = ""] =
    /^\.SH "?EXIT STATUS"?\n(.*?)^\.SH/ms.exec(textOf(`docs/man/${page}`)) ?? [];
  return (section.match(/\b(?:6[4-9]|7\d)\b/g) ?? []).map(Number);
}

const sorted = (numbers: Iterable<number>) => [...new Set(numbers)].sort((a, b) => a - b);

describe.each(PAGES)("the statuses of packages/%s", (name, pages) => {
  const documented = pages.flatMap(statusesInPage);
  const own = new Set([...statusesOf(name), ...GENERAL]);
  const shared = statusesOf("command");

  it("are in the manual", () => {
    expect(sorted(documented.filter((status) => own.has(status)))).toEqual(sorted(own));
  });

  it("are the only statuses in the manual, besides those in packages/command", () => {
    expect(documented.filter((status) => !own.has(status) && !shared.has(status))).toEqual([]);
  });
});
