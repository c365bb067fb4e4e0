/**
 * Tests that purging removes the links that `systemctl enable` has made for instances of
 * cm4all-spawn-netns@.service.
 */
import { spawnSync } from "node:child_process";
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("../../../debian/cm4all-spawn-netns.postrm", import.meta.url));
let system = "";
const wants = () => join(system, "etc/systemd/system/multi-user.target.wants");
const isThere = (name: string) => lstatSync(join(wants(), name), { throwIfNoEntry: false });

beforeEach(() => {
  system = mkdtempSync(join(tmpdir(), "netns-links-"));
  mkdirSync(wants(), { recursive: true });
  for (const [name, target] of [
    ["cm4all-spawn-netns@web.service", "/usr/lib/systemd/system/cm4all-spawn-netns@.service"],
    ["cm4all-spawn-netns@own.service", "/etc/systemd/system/somebodys.service"],
    ["other.service", "/usr/lib/systemd/system/other.service"],
  ] as const)
    symlinkSync(target, join(wants(), name));
});
afterEach(() => rmSync(system, { recursive: true }));

function postrm(action: string): void {
  const env = { PATH: process.env["PATH"], LC_ALL: "C", DPKG_ROOT: system };
  const { status, stderr } = spawnSync("sh", [script, action], { env, encoding: "utf8" });
  expect(stderr).toBe("");
  expect(status).toBe(0);
}

test("removal leaves the links of enabled services", () => {
  postrm("remove");
  expect(isThere("cm4all-spawn-netns@web.service")).toBeDefined();
});

test("purging removes the links of enabled services, and no other links", () => {
  postrm("purge");
  expect(isThere("cm4all-spawn-netns@web.service")).toBeUndefined();
  expect(isThere("cm4all-spawn-netns@own.service")).toBeDefined();
  expect(isThere("other.service")).toBeDefined();
  postrm("purge");
  rmSync(wants(), { recursive: true });
  postrm("purge");
  expect(existsSync(wants())).toBe(false);
});
