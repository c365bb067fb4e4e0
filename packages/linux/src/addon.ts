/**
 * Loads our addon, c/syscall.c. It is compiled if there is a C compiler, and is then found next to
 * the bundle of a program; otherwise it does not exist.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** The exports of the addon. */
export interface Addon {
  /**
   * Makes a system call. The calling thread waits as long as the kernel does.
   * @param number one of `numbers`
   * @param args at most six safe integers
   * @returns the result, or a negated errno
   * @throws TypeError for other arguments
   */
  readonly call: (number: number, ...args: number[]) => number;
  /**
   * The system calls that the addon makes, by kernel name, with their numbers on this
   * architecture.
   */
  readonly numbers: Readonly<Record<string, number>>;
}

const FILE = `syscall.linux-${process.arch}.node`;

/**
 * The paths at which the addon may be found: next to the bundle of a program or, if a program runs
 * from the sources of this workspace, in the directory in which the addon is built.
 */
const PLACES = [FILE, join("../dist", FILE)];

/** The environment variable that tests and measurements set to send all calls through ffi-rs. */
const WITHOUT = "CM4ALL_WITHOUT_ADDON";

/**
 * Loads the addon for the calling thread.
 * @returns undefined if there is none
 * @throws Error ERR_DLOPEN_FAILED if it cannot be used, for example on another architecture
 */
export function tryLoadAddon(): Addon | undefined {
  if (process.env[WITHOUT] === "1") return undefined;
  const path = PLACES.map((place) => join(import.meta.dirname, place)).find(existsSync);
  if (path === undefined) return undefined;
  const module: { exports: Addon } = { exports: { call: () => 0, numbers: {} } };
  process.dlopen(module, path);
  return module.exports;
}
