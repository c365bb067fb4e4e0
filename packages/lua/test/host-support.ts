/** Script hosts from a bundle that is alone in its directory, for tests. */

import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type BundleCopy, copyBundle } from "@cm4all/testing";
import type { Outcome, Run } from "../src/run.ts";
import { ScriptHost, type ScriptHostOptions } from "../src/script-host.ts";
import { encodedOf, type Fields } from "./script.ts";

const dist = join(import.meta.dirname, "../dist");

const DEFAULTS = {
  instructions: 50_000_000,
  handlerTimeoutMs: 60_000,
  answerTimeoutMs: 10_000,
  maxRunning: 64,
  memoryMiB: 128,
} as const;

/** The script hosts of a test file; the file calls `stopAll` after each test. */
export class TestHosts implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "lua-host-"));
  readonly #bundle: BundleCopy;
  #hosts: ScriptHost[] = [];
  #files: number[] = [];

  constructor() {
    const addons = readdirSync(dist).filter((name) => name.endsWith(".node"));
    this.#bundle = copyBundle(
      join(dist, "lua-host.js"),
      addons.map((name) => join(dist, name)),
    );
    // For script hosts that run as another user.
    chmodSync(this.directory, 0o755);
    chmodSync(this.#bundle.directory, 0o755);
  }

  get program(): string {
    return this.#bundle.program;
  }

  get scriptPath(): string {
    return join(this.directory, "script.lua");
  }

  /** The output of the scripts of the test. */
  get printed(): string {
    return readFileSync(join(this.directory, "out"), "latin1");
  }

  options(code: string, more: Partial<ScriptHostOptions> = {}): ScriptHostOptions {
    writeFileSync(this.scriptPath, code, "latin1");
    const stdout = openSync(join(this.directory, "out"), "w");
    const stderr = openSync(join(this.directory, "err"), "w");
    this.#files.push(stdout, stderr);
    const { program, scriptPath: script } = this;
    return { ...DEFAULTS, program: [program], script, stdout, stderr, ...more };
  }

  make(options: ScriptHostOptions): ScriptHost {
    const host = new ScriptHost(options);
    this.#hosts.push(host);
    return host;
  }

  async start(code: string, more: Partial<ScriptHostOptions> = {}): Promise<ScriptHost> {
    const host = this.make(this.options(code, more));
    host.start();
    await once(host, "ready");
    return host;
  }

  async stopAll(): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.stop(0)));
    for (const fd of this.#files) closeSync(fd);
    this.#hosts = [];
    this.#files = [];
  }

  [Symbol.dispose](): void {
    this.#bundle[Symbol.dispose]();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Runs the handler for a cgroup. The run may begin immediately, unless `run.begin` is given. */
export function account(
  host: ScriptHost,
  cgroup: Fields = {},
  run: Partial<Run> = {},
): Promise<Outcome> {
  return host.run([encodedOf(cgroup)], { kind: "released", begin: async () => {}, ...run });
}

/** Sends a signal to a script host, and never to pid 0, which is this process's own group. */
export function kill(host: ScriptHost, signal: NodeJS.Signals): void {
  if (host.pid === undefined) throw new Error("the script host is not running");
  process.kill(host.pid, signal);
}

export const handler = (body: string) => `function cgroup_released(cgroup) ${body}\nend`;
