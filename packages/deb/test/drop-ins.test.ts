/** Tests what an installation prints about drop-ins for units of the original packages. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { root } from "./built.ts";

let system: string;
beforeEach(() => {
  system = mkdtempSync(join(tmpdir(), "drop-ins-"));
});
afterEach(() => rmSync(system, { recursive: true }));

const units = "etc/systemd/system";

function write(file: string, text: string): void {
  const path = join(system, units, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

function install(): string {
  const script = join(root, "debian/cm4all-spawn.postinst");
  const { status, stderr } = spawnSync("sh", [script, "configure"], {
    encoding: "utf8",
    // This is how dpkg names the root directory of the system if it is not /.
    env: { PATH: process.env["PATH"], DPKG_ROOT: system },
  });
  expect(status).toBe(0);
  // deb-systemd-helper complains if anything but dpkg calls it.
  const said = stderr.replace(/^\S*deb-systemd-helper was not called from dpkg.*\n/gm, "");
  return said.replaceAll(`${join(system, units)}/`, "");
}

test("there is no message without drop-ins, or about drop-ins for our own units", () => {
  expect(install()).toBe("");
  write("cm4all-spawn.service.d/mine.conf", "[Service]\nUser=root\n");
  expect(install()).toBe("");
});

test("each drop-in for units of the original packages is named, with its current effect", () => {
  write(
    "cm4all-spawn-reaper.service.d/override.conf",
    "[Service]\nUser=me\nMemoryMax=100M\nEnvironment=A=b\nExecStart=\nExecStart=/usr/sbin/cm4all-spawn-reaper -v\n",
  );
  write("cm4all-spawn-accessory.service.d/override.conf", "[Service]\nLimitNOFILE=9\nNice=1");
  write("cm4all-spawn-accessory.service.d/x y.conf", "[Service]\nNice=1\n");
  const said = install().split("\n");
  expect(said).toEqual([
    "cm4all-spawn: drop-in for the original daemon: cm4all-spawn-accessory.service.d/override.conf: it applies to all of cm4all-spawn.service",
    "    LimitNOFILE=9: limits the namespace service and the reaper together",
    "cm4all-spawn: drop-in for the original daemon: cm4all-spawn-accessory.service.d/x y.conf: it applies to all of cm4all-spawn.service",
    "cm4all-spawn: drop-in for the original daemon: cm4all-spawn-reaper.service.d/override.conf: it applies to the accounting script",
    "    User=me: must be the same as accounting.user in spawn.toml, if that is set",
    "    MemoryMax=100M: must be at least 256 MiB more than accounting.memory_mib in spawn.toml",
    "    ExecStart=/usr/sbin/cm4all-spawn-reaper -v: the original programs are no longer installed",
    "",
  ]);
});

describe("an upgrade from a version whose accounting scripts were always child processes", () => {
  const mask = () => join(system, units, "cm4all-spawn-accounting.socket");

  function upgrade(): string {
    mkdirSync(join(system, units), { recursive: true });
    const script = join(root, "debian/cm4all-spawn.preinst");
    const { status, stderr } = spawnSync("sh", [script, "upgrade", "1.0.0"], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], DPKG_ROOT: system },
    });
    expect(status).toBe(0);
    return stderr.replaceAll(`${join(system, units)}/`, "");
  }

  test.each(["Environment=PGPASSWORD=x", "ReadWritePaths=/srv", "SupplementaryGroups=a"])(
    "masks the socket of accounting scripts if a drop-in for the daemon has %s",
    (line) => {
      write("cm4all-spawn.service.d/mine.conf", `[Service]\n${line}\n`);
      expect(upgrade()).toContain("have settings for a script: cm4all-spawn.service.d/mine.conf\n");
      expect(readlinkSync(mask())).toBe("/dev/null");
      expect(upgrade()).toBe("");
    },
  );

  test("does not mask the socket otherwise", () => {
    expect(upgrade()).toBe("");
    write("cm4all-spawn.service.d/mine.conf", "[Service]\n#Environment=A=b\nLimitNOFILE=9\n");
    write("cm4all-spawn-reaper.service.d/mine.conf", "[Service]\nEnvironment=A=b\n");
    expect(upgrade()).toBe("");
    write("cm4all-spawn.service.d/mine.conf", "[Service]\nEnvironment=A=b\n");
    const there = "usr/lib/systemd/system/cm4all-spawn-accounting.socket";
    mkdirSync(dirname(join(system, there)), { recursive: true });
    writeFileSync(join(system, there), "");
    expect(upgrade()).toBe("");
    expect(existsSync(mask())).toBe(false);
  });
});

test("the programs of the original packages print what has replaced them", () => {
  const moved = join(root, "packages/spawn/moved.sh");
  const { status, stderr } = spawnSync(moved, ["--any"], { encoding: "utf8" });
  expect(status).toBe(64);
  expect(stderr).toContain("cm4all-spawn.service");
});
