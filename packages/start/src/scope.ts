/** A scope of our own, below the root of cgroup2, for the daemon to watch. */
import { existsSync, writeFileSync } from "node:fs";
import { dirname, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { ScratchCgroup } from "@cm4all/testing/cgroup";
import { explainMissing, readControllers, readHostControllers } from "./missing-figures.ts";
import { LEFTOVER } from "./sample.ts";

const NAME = "sample.scope";

/** The interval at which we check whether the daemon has deleted a cgroup. */
const LOOK_MS = 20;

/** The controllers whose figures we need. */
const WANTED = ["cpu", "io", "memory", "pids"];

/** Enables, for the children of a cgroup, the wanted controllers that the cgroup has. */
function passControllersOn(cgroup: string): void {
  const names = readControllers(cgroup).filter((name) => WANTED.includes(name));
  const text = names.map((name) => `+${name}`).join(" ");
  if (text !== "") writeFileSync(`${cgroup}/cgroup.subtree_control`, text);
}

export class Scope implements AsyncDisposable {
  readonly #cgroup: ScratchCgroup;
  /** The full path. */
  readonly path: string;
  /** Lines about figures that its cgroups do not have. */
  readonly missing: readonly string[];

  private constructor(cgroup: ScratchCgroup) {
    this.#cgroup = cgroup;
    passControllersOn(cgroup.path);
    this.path = cgroup.make(NAME);
    passControllersOn(this.path);
    const leftover = cgroup.make(`${NAME}/${LEFTOVER.name}`);
    this.missing = explainMissing(readHostControllers(this.mount, this.path, leftover));
  }

  /**
   * Makes the scope.
   * @param name the name of the cgroup that contains the scope; a cgroup that an earlier run has
   *   left behind is used again
   * @throws Error if cgroup2 is not mounted, or cannot be written to
   */
  static async open(name: string): Promise<Scope> {
    const cgroup = new ScratchCgroup(name);
    try {
      return new Scope(cgroup);
    } catch (error) {
      await cgroup.remove();
      throw error;
    }
  }

  get mount(): string {
    return dirname(this.#cgroup.path);
  }

  /** The name in the configuration: the path below the root of cgroup2, without a leading slash. */
  get name(): string {
    return relative(this.mount, this.path);
  }

  /** Runs a shell command in a cgroup of the scope, to its end. */
  async run(name: string, command: string): Promise<void> {
    await this.#cgroup.runToEnd(`${NAME}/${name}`, command);
  }

  /**
   * Resolves when the daemon watches the scope: when it has deleted the empty cgroup that the
   * constructor made.
   */
  async untilWatched(): Promise<void> {
    while (existsSync(`${this.path}/${LEFTOVER.name}`)) await delay(LOOK_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#cgroup.remove();
  }
}
