/**
 * Tests when the maintainer scripts of libnss-cm4all-logname add the service to nsswitch.conf, and
 * when they remove it.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { root } from "./built.ts";

const WITHOUT = "passwd: files\ngroup: files\n";
const WITH = "passwd: files cm4all_logname\ngroup: files cm4all_logname\n";

let system: string;
beforeEach(() => {
  system = mkdtempSync(join(tmpdir(), "nss-scripts-"));
  mkdirSync(join(system, "etc"));
  cpSync(
    join(root, "packages/nss-logname/debian/nsswitch"),
    join(system, "usr/share/libnss-cm4all-logname/nsswitch"),
  );
  writeFileSync(join(system, "etc/nsswitch.conf"), WITHOUT);
});
afterEach(() => rmSync(system, { recursive: true }));

/** Runs a script as dpkg does for a system in another root directory. */
function run(script: string, args: readonly string[], architectures = 1): void {
  const path = join(root, `debian/libnss-cm4all-logname.${script}`);
  const env = {
    PATH: process.env["PATH"],
    LC_ALL: "C",
    DPKG_ROOT: system,
    DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT: String(architectures),
  };
  const { status, stdout, stderr } = spawnSync("sh", [path, ...args], { encoding: "utf8", env });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: "", stderr: "" });
}

const text = () => readFileSync(join(system, "etc/nsswitch.conf"), "utf8");

it("the first installation adds the service, an upgrade does not, and a removal removes it", () => {
  run("postinst", ["configure", ""]);
  expect(text()).toBe(WITH);
  writeFileSync(join(system, "etc/nsswitch.conf"), WITHOUT);
  run("prerm", ["upgrade", "2"]);
  run("postinst", ["configure", "1"]);
  expect(text()).toBe(WITHOUT);
  run("postinst", ["abort-remove"]);
  expect(text()).toBe(WITH);
  run("prerm", ["remove"]);
  expect(text()).toBe(WITHOUT);
});

it("installing or removing the package of a second architecture changes nothing", () => {
  run("postinst", ["configure", ""], 2);
  expect(text()).toBe(WITHOUT);
  run("postinst", ["configure", ""]);
  run("prerm", ["remove"], 2);
  expect(text()).toBe(WITH);
});

it("an upgrade removes the marker file of earlier versions", () => {
  const marker = "nsswitch.conf.nss.libnss-cm4all-logname-will-install";
  writeFileSync(join(system, "etc", marker), "");
  run("postinst", ["configure", "1"]);
  expect(readdirSync(join(system, "etc"))).toEqual(["nsswitch.conf"]);
});
