/** Tests of the addon alone: the calls that it makes, their arguments, and how it is loaded. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { missing } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { tryLoadAddon } from "../src/addon.ts";
import { EAGAIN, EBADF, EFAULT } from "../src/errno.ts";
import { O_NONBLOCK, pipe, signalEventfd } from "../src/index.ts";

const path = fileURLToPath(new URL(`../dist/syscall.linux-${process.arch}.node`, import.meta.url));

describe.skipIf(missing("gcc") !== undefined)("the addon", () => {
  function load() {
    const addon = tryLoadAddon();
    if (addon === undefined) throw new Error("the addon is not built");
    return addon;
  }

  it("makes only the calls on its list", () => {
    const { call, numbers } = load();
    // getpid, execve, fork or clone, kill
    const others = process.arch === "x64" ? [39, 59, 57, 62] : [172, 221, 220, 129];
    for (const number of [...others, -1, 10_000, 2 ** 31, 2 ** 40])
      expect(() => call(number), String(number)).toThrow(
        "this addon does not make this system call",
      );
    for (const name of ["clone", "execve", "kill", "setuid", "rt_sigaction", "exit_group"])
      expect(numbers).not.toHaveProperty(name);
  });

  it("takes only safe integers, at most six", () => {
    const { call, numbers } = load();
    const { close = Number.NaN } = numbers;
    expect(call(close, 99_999)).toBe(-EBADF);
    const refusal = "a system call takes only safe integers";
    for (const value of [1.5, Number.NaN, 2 ** 53, -(2 ** 53), Number.POSITIVE_INFINITY, "1"])
      expect(() => Reflect.apply(call, undefined, [close, value]), String(value)).toThrow(refusal);
    expect(() => Reflect.apply(call, undefined, [])).toThrow();
    expect(() => call(close, 0, 0, 0, 0, 0, 0, 0)).toThrow("at most six arguments");
  });

  it("passes all 64 bits of an argument", () => {
    const { call, numbers } = load();
    const { read = Number.NaN } = numbers;
    const [reader, writer] = pipe(O_NONBLOCK);
    expect(call(read, reader.number, 2 ** 46, 1)).toBe(-EAGAIN);
    signalEventfd(writer.number);
    // Truncated to 32 bits, the address would be NULL and the length 0.
    expect(call(read, reader.number, 2 ** 52, 2 ** 40)).toBe(-EFAULT);
    expect(call(read, reader.number, 2 ** 52, 2 ** 32)).toBe(-EFAULT);
    for (const fd of [reader, writer]) fd.close();
  });

  it("needs no newer libc than Node does, and can be loaded by each thread", () => {
    const { stdout } = spawnSync("readelf", ["--dyn-syms", "--wide", path], { encoding: "utf8" });
    const versions = [...stdout.matchAll(/@GLIBC_(\d+)\.(\d+)/g)].map(
      ([, a, b]) => Number(a) * 100 + Number(b),
    );
    expect(Math.max(...versions)).toBeLessThanOrEqual(228);
    const worker = `
      const { Worker } = require("node:worker_threads");
      const load = 'const m = { exports: {} }; process.dlopen(m, ' + JSON.stringify(process.argv[1]) + ');' +
        'if (m.exports.call(m.exports.numbers.close, 99999) !== -9) process.exit(3);';
      eval(load);
      for (let i = 0; i < 4; i++) new Worker(load, { eval: true });`;
    expect(spawnSync(process.execPath, ["-e", worker, path]).status).toBe(0);
  });
});
