/** A running `npm start`: its name, its lock, its directory. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { DATA } from "./checkout.ts";

export class Instance implements AsyncDisposable {
  /** The name, which is the same for all runs with the same data directory. */
  static readonly #name =
    `cm4all-spawn-start-${createHash("sha256").update(DATA).digest("hex").slice(0, 8)}`;
  readonly #lock: Server;

  private constructor(lock: Server) {
    this.#lock = lock;
  }

  /** Opens the instance; returns undefined if another one uses the data. */
  static async tryOpen(): Promise<Instance | undefined> {
    // An abstract socket disappears with its process, however the process ends.
    const lock = createServer().listen(`\0${Instance.#name}`);
    try {
      await once(lock, "listening");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EADDRINUSE")
        return undefined;
      throw error;
    }
    const instance = new Instance(lock);
    mkdirSync(DATA, { recursive: true });
    // An instance that was killed may have left its directory behind.
    rmSync(instance.directory, { recursive: true, force: true });
    mkdirSync(instance.directory);
    return instance;
  }

  get name(): string {
    return Instance.#name;
  }

  /** The directory, which everybody may read, because the script may run as a user of its own. */
  get directory(): string {
    return `/run/${Instance.#name}`;
  }

  /**
   * The daemon's control socket; not at the default path, because that path's directory would
   * remain after the daemon has ended.
   */
  get control(): string {
    return join(this.directory, "control.sock");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    rmSync(this.directory, { recursive: true, force: true });
    this.#lock.close();
    await once(this.#lock, "close");
  }
}
