/** Runs clients of the daemon, each in a process of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { log, waitFor } from "./shell.ts";

const PROGRAM = "/e2e/in/clients.js";

/** A running client. It writes a report when it is ready; `load` writes another when it ends. */
export class Client {
  readonly #child: ChildProcess;
  readonly #file: string;

  private constructor(child: ChildProcess, file: string) {
    this.#child = child;
    this.#file = file;
  }

  static async start(role: string, prefix: string, count: number, timeoutMs: number) {
    const file = `/run/e2e-${role}-${prefix}.json`;
    rmSync(file, { force: true });
    const child = spawn(process.execPath, [PROGRAM, role, prefix, String(count), file], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    log(`started ${role} ${prefix} ${count}: pid ${child.pid}`);
    const client = new Client(child, file);
    await waitFor(`${role} has begun`, timeoutMs, () => {
      if (child.exitCode !== null) throw new Error(`${role} ended with ${child.exitCode}`);
      return existsSync(file);
    });
    return client;
  }

  /** Ends the client, and returns its report. */
  async end(): Promise<unknown> {
    this.#child.kill("SIGTERM");
    if (this.#child.exitCode === null)
      await new Promise((resolve) => this.#child.once("exit", resolve));
    return this.report();
  }

  report(): unknown {
    const report: unknown = JSON.parse(readFileSync(this.#file, "utf8"));
    log(JSON.stringify(report).slice(0, 2000));
    return report;
  }
}

/** The inodes of the IPC and PID namespaces, by name. */
export type Inodes = Readonly<Record<string, readonly [number, number]>>;

export interface LoadReport {
  readonly requests: number;
  readonly errors: readonly string[];
  readonly longestMs: number;
}

/** Requests the IPC and PID namespaces of `count` names, and holds a lease on each name. */
export async function holdNames(prefix: string, count: number, timeoutMs: number) {
  const client = await Client.start("hold", prefix, count, timeoutMs);
  return { client, inodes: client.report() as Inodes };
}

/** Returns the inodes of the namespaces that the daemon now has for the names. */
export async function readNames(prefix: string, count: number, timeoutMs: number): Promise<Inodes> {
  const client = await Client.start("read", prefix, count, timeoutMs);
  return (await client.end()) as Inodes;
}

/** Requests the names again and again, over four connections. */
export async function startLoad(prefix: string, count: number, timeoutMs: number) {
  const client = await Client.start("load", prefix, count, timeoutMs);
  return { end: async () => (await client.end()) as LoadReport };
}
