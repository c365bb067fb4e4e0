/** Figures of controllers that the kernel has not got in cgroup2: controllers.c, compiled. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("controllers.c", import.meta.url));

/** The same figures for all cgroups that a daemon sees. `[Symbol.dispose]` has to be called. */
export class Controllers implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "controllers-"));
  readonly #library = join(this.#directory, "controllers.so");

  constructor() {
    const options = ["-shared", "-fPIC", "-Wall", "-Werror", "-fno-builtin"];
    execFileSync("gcc", [...options, SOURCE, "-o", this.#library, "-ldl"]);
  }

  /** For the daemon. */
  get env(): NodeJS.ProcessEnv {
    return { LD_PRELOAD: this.#library, CONTROLLERS: this.#directory };
  }

  /** What each cgroup is said to have from now on. */
  set(file: "memory.events" | "pids.events", text: string): void {
    writeFileSync(join(this.#directory, file), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }
}
