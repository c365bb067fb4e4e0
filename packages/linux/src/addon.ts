/**
 * Loads our addon, c/syscall.c. It is compiled where there is a C compiler, lies beside
 * the bundle of a program, and is not there otherwise.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";

/** What the addon exports. */
export interface Addon {
  /**
   * Makes a system call, and returns its result, or -errno. It waits as long as the kernel
   * does, and all of the thread with it.
   * @param number one of `numbers`
   * @param args at most six safe integers
   * @throws TypeError for anything else
   */
  readonly call: (number: number, ...args: number[]) => number;
  /** The calls that it makes, by their kernel name, with their numbers here. */
  readonly numbers: Readonly<Record<string, number>>;
}

const FILE = `syscall.linux-${process.arch}.node`;

/** Beside the bundle of a program, and, of sources in this workspace, where they are built. */
const PLACES = [FILE, join("../dist", FILE)];

/** Set by tests and measurements: everything goes through ffi-rs. */
const WITHOUT = "CM4ALL_WITHOUT_ADDON";

/**
 * Loads it for the calling thread.
 * @returns undefined where there is none
 * @throws Error ERR_DLOPEN_FAILED where it is of no use, such as another machine's
 */
export function tryLoadAddon(): Addon | undefined {
  if (process.env[WITHOUT] === "1") return undefined;
  const path = PLACES.map((place) => join(import.meta.dirname, place)).find(existsSync);
  if (path === undefined) return undefined;
  const module: { exports: Addon } = { exports: { call: () => 0, numbers: {} } };
  process.dlopen(module, path);
  return module.exports;
}
