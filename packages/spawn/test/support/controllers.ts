/**
 * Simulates the files of controllers that cgroup2 does not have on this host, with controllers.c.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("controllers.c", import.meta.url));

/** Gives the same figures to all cgroups that a daemon sees. The caller disposes of this object. */
export class Controllers implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "controllers-"));
  readonly #library = join(this.#directory, "controllers.so");

  constructor() {
    const options = ["-shared", "-fPIC", "-Wall", "-Werror", "-fno-builtin"];
    execFileSync("gcc", [...options, SOURCE, "-o", this.#library, "-ldl"]);
  }

  /** The environment for the daemon. */
  get env(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: this.#library, CONTROLLERS: this.#directory };
  }

  /** Sets the text of a file, which is then the same in every cgroup. */
  set(file: "memory.events" | "pids.events", text: string): void {
    writeFileSync(join(this.#directory, file), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
