/**
 * Tests that no installed program opens Node's debugger, whatever signals and environment it
 * gets.
 */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { missing, SIGUSR1_PENDING, Storm } from "@cm4all/testing";
import { describe, expect, test } from "vitest";
import { root } from "./built.ts";

/** The bundles that the Debian packages install. */
const installed = readdirSync(join(root, "debian"))
  .filter((name) => name.endsWith(".install"))
  .flatMap((name) => readFileSync(join(root, "debian", name), "utf8").split("\n"))
  .flatMap((line) => /^(packages\/\S+\/dist\/\S+\.js)\s/.exec(line)?.[1] ?? []);

/** The bundles that users do not call, and a part of what each prints without arguments. */
const INNER = new Map([
  ["packages/spawn/dist/cm4all-spawn-report.js", "JSON"],
  ["packages/spawn/dist/cm4all-spawn-script-host.js", "the daemon starts this program"],
]);

/** The beginning of every bundle; debian/rules changes its first line to use Debian's Node. */
const START =
  /^#!\/usr\/bin\/env -S node --inspect-port=192\.0\.2\.1:9229( --[-a-z]+)*\n"use strict";process\.on\("SIGUSR1", \(\) => \{\}\);\n/;

/** The lines that start Node through a shell, with the same options (packages/dev/launcher.mjs). */
const LAUNCHER =
  /^#!\/bin\/bash -p\n':' \/\/; .*\n':' \/\/; exec \/usr\/bin\/env node (.*) "\$0" "\$@"\n/;

/** Runs a command, and sends it SIGUSR1 again and again from its start to its end. */
async function runInStorm(command: readonly string[]) {
  const [file = "", ...args] = [...SIGUSR1_PENDING, ...command];
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let stdout = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const ended = once(child, "close");
  using storm = new Storm(child.pid ?? 0);
  const [status, signal] = await ended;
  return {
    end: status ?? signal,
    stdout,
    stderr,
    sent: storm.sent,
    listening: [...storm.listening],
  };
}

describe("programs", () => {
  test("are found", () => {
    expect(installed.map((path) => basename(path))).toContain("cm4all-spawn.js");
  });

  test.each(installed)("%s begins with the lines that keep the debugger closed", (path) => {
    const text = readFileSync(join(root, path), "utf8");
    const direct = text.replace(LAUNCHER, "#!/usr/bin/env -S node $1\n");
    expect(direct).toMatch(START);
  });

  describe.skipIf(missing("root", "iproute2"))("under a storm of SIGUSR1", () => {
    test("Node itself opens its debugger, which shows that the test works", async () => {
      const { stderr } = await runInStorm([process.execPath, "-e", "setTimeout(() => {}, 300)"]);
      expect(stderr).toContain("Debugger listening");
    });

    test.each([...INNER])("without arguments, %s opens no debugger", async (path, complaint) => {
      const { end, stderr, sent, listening } = await runInStorm([join(root, path)]);
      expect(stderr).toContain(complaint);
      expect([1, 64, "SIGUSR1"]).toContain(end);
      expect(sent).toBeGreaterThan(0);
      expect(stderr).not.toContain("Debugger listening");
      expect(listening).toEqual([]);
    });

    test.each(installed.filter((path) => !INNER.has(path)))("%s: no debugger", async (path) => {
      const version = await runInStorm([join(root, path), "--version"]);
      const help = await runInStorm([join(root, path), "--help"]);
      const mistake = await runInStorm([join(root, path), "--nonsense"]);
      // Each run prints all of its output. As Node exits, it removes its signal handlers, and
      // SIGUSR1 may then end it.
      expect(version.stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
      expect(help.stdout).toMatch(/^Usage: /);
      expect(mistake.stderr).toContain("--nonsense");
      expect([0, "SIGUSR1"]).toContain(version.end);
      expect([0, "SIGUSR1"]).toContain(help.end);
      expect([64, "SIGUSR1"]).toContain(mistake.end);
      for (const { sent, stderr, listening } of [version, help, mistake]) {
        expect(sent).toBeGreaterThan(0);
        expect(stderr).not.toContain("Debugger listening");
        expect(listening).toEqual([]);
      }
    });
  });
});

describe("units that start Node", () => {
  const textOf = (name: string) => readFileSync(join(root, "systemd", name), "utf8");
  /** All services except those that only call systemctl(1). */
  const units = readdirSync(join(root, "systemd"))
    .filter((name) => name.endsWith(".service"))
    .filter((name) => /^Exec\w+=(?!\+\/usr\/bin\/systemctl )/m.test(textOf(name)));

  const help = spawnSync(process.execPath, ["--help"], { encoding: "utf8" }).stdout;
  /** The environment variables that change Node's behaviour: those in its help, and others. */
  const variables = new Set([
    ...[...help.matchAll(/^(NODE_\w+)/gm)].map(([, name]) => name ?? ""),
    ...["NODE_OPTIONS", "NODE_COMPILE_CACHE", "NODE_ICU_DATA", "NODE_CHANNEL_FD"],
    ...["NODE_UNIQUE_ID", "NODE_PRESERVE_SYMLINKS_MAIN", "NODE_USE_ENV_PROXY"],
  ]);

  test("are all in the directory systemd", () => {
    const systemd = realpathSync(join(root, "systemd"));
    expect(units).toContain("cm4all-spawn-accounting@.service");
    expect(units).toContain("cm4all-spawn.service");
    for (const name of readdirSync(join(root, "debian")))
      if (name.endsWith(".service"))
        expect(dirname(realpathSync(join(root, "debian", name)))).toBe(systemd);
  });

  test.each(units)("%s unsets all of Node's variables", (name) => {
    const unset = [...textOf(name).matchAll(/^UnsetEnvironment=(.*)$/gm)].flatMap(
      ([, names = ""]) => names.split(" "),
    );
    expect([...variables].filter((variable) => !unset.includes(variable))).toEqual([]);
  });
});
