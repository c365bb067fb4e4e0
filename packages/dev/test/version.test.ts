/**
 * Tests that the suite has one version: the packages and debian/changelog have that of the root.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { root } from "../setup.mjs";

function versionOf(manifest: string): unknown {
  const { version }: { version: unknown } = JSON.parse(readFileSync(manifest, "utf8"));
  return version;
}

const version = versionOf(join(root, "package.json"));

it.each(
  readdirSync(join(root, "packages"))
    .map((name) => join("packages", name, "package.json"))
    .filter((manifest) => existsSync(join(root, manifest))),
)("%s has the suite's version", (manifest) => {
  expect(versionOf(join(root, manifest))).toBe(version);
});

it("debian/changelog begins with the suite's version", () => {
  const [, latest] =
    /^\S+ \((.*)\)/.exec(readFileSync(join(root, "debian/changelog"), "utf8")) ?? [];
  expect(latest).toBe(version);
});
