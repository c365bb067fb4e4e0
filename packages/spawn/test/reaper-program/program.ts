/** Runs the reaper's test program. */
import { type ChildProcess, execFileSync, fork } from "node:child_process";
import { join } from "node:path";
import { type CgroupRecord, type EncodedRecord, tryParseRecord } from "@cm4all/cgroup";
import type { ReaperOptions, Release } from "../../src/reaper/messages.ts";
import type { ReaperMetrics } from "../../src/reaper/metrics.ts";
import type { FromProgram, ToProgram } from "./main.ts";

const directory = join(import.meta.dirname, "../..");

/** Builds the program. Call it once, before the first start. */
export function buildReaperProgram(): void {
  execFileSync(process.execPath, ["test/reaper-program/build.mjs"], { cwd: directory });
}

/** Waits until `condition` returns a value other than false or undefined; returns that value. */
export async function until<T>(
  what: string,
  condition: () => T | Promise<T>,
  timeoutMs = 10_000,
): Promise<Exclude<T, false | undefined>> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await condition();
    if (value !== false && value !== undefined) return value as Exclude<T, false | undefined>;
    if (performance.now() > end) throw new Error(`timeout: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A release, with its record decoded. */
export type ToldRelease = Omit<Release, "record"> & { readonly record: CgroupRecord };

function decode({ json }: EncodedRecord): CgroupRecord {
  const record = tryParseRecord(json);
  if (record === undefined) throw new Error(`no record: ${json}`);
  return record;
}

export class ReaperProgram {
  readonly process: ChildProcess;
  /** The lines of the log, without the time. */
  readonly log: string[] = [];
  readonly releases: ToldRelease[] = [];
  /** All messages about releases, such as `deleted 1`. */
  readonly told: string[] = [];
  readonly interim: CgroupRecord[] = [];
  /** The cgroups that were found populated at startup. */
  populated: readonly string[] | undefined;
  /** Resolves with the exit status, or the name of the signal that killed the program. */
  readonly ended: Promise<number | string>;
  #unfinished = "";
  #statuses: ((status: ReaperMetrics) => void)[] = [];

  /** @param wrapper a command that runs the program, such as prlimit(1) with its options */
  constructor(
    options: Partial<ReaperOptions> & Pick<ReaperOptions, "root">,
    wrapper: string[] = [],
  ) {
    const all: ReaperOptions = {
      scopes: ["*.scope"],
      deletionDelayMs: 50,
      checkIntervalMs: 300_000,
      unusedMs: 10_000,
      interimMs: 0,
      verbose: false,
      accounting: false,
      ...options,
    };
    const [execPath = process.execPath, ...args] = wrapper;
    this.process = fork(join(directory, "dist/test/reaper.js"), [JSON.stringify(all)], {
      execPath,
      execArgv: wrapper.length === 0 ? [] : [...args, process.execPath],
      stdio: ["ignore", "inherit", "pipe", "ipc"],
      serialization: "advanced",
    });
    this.process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      const lines = (this.#unfinished + text).split("\n");
      this.#unfinished = lines.pop() ?? "";
      this.log.push(...lines.map((line) => line.replace(/^\S+Z /, "")));
    });
    this.process.on("message", (message: FromProgram) => {
      this.#receive(message);
    });
    // Sending a message to a program that has been killed causes an error.
    this.process.on("error", () => {});
    this.ended = new Promise((resolve) =>
      this.process.on("exit", (status, signal) => resolve(status ?? signal ?? 0)),
    );
  }

  #receive(message: FromProgram): void {
    switch (message.kind) {
      case "released":
        this.releases.push(
          ...message.releases.map((release) => ({ ...release, record: decode(release.record) })),
        );
        this.told.push(...message.releases.map(({ number }) => `released ${number}`));
        break;
      case "deleted":
      case "kept":
      case "withdrawn":
        this.told.push(...message.releases.map((number) => `${message.kind} ${number}`));
        break;
      case "scanned":
        this.populated = message.populated;
        break;
      case "interim":
        this.interim.push(...message.records.map(decode));
        break;
      case "status":
        this.#statuses.shift()?.(message.status);
        break;
    }
  }

  #send(message: ToProgram): void {
    if (this.process.connected) this.process.send(message);
  }

  /** Reports to the reaper that the records of these releases are on the disk. */
  journalled(releases: readonly ToldRelease[]): void {
    this.#send({ kind: "journalled", releases: releases.map(({ number }) => number) });
  }

  /**
   * Calls `journalled` for all releases until `condition` is true. On a busy machine, the kernel
   * may charge a process for its last moments so late that its cgroup is released a second time.
   */
  async journalUntil(what: string, condition: () => boolean): Promise<void> {
    await until(what, () => {
      this.journalled(this.releases);
      return condition();
    });
  }

  setInterim(intervalMs: number): void {
    this.#send({ kind: "interim", intervalMs });
  }

  async status(): Promise<ReaperMetrics> {
    const answer = new Promise<ReaperMetrics>((resolve) => {
      this.#statuses.push(resolve);
      this.#send({ kind: "status" });
    });
    const ended = this.ended.then((result) => {
      throw new Error(`the program ended with ${result}:\n${this.log.join("\n")}`);
    });
    return Promise.race([answer, ended]);
  }

  setAccounting(wanted: boolean): void {
    this.#send({ kind: "accounting", wanted });
  }

  async stop(): Promise<number | string> {
    this.#send({ kind: "stop" });
    return this.ended;
  }

  /** Kills the program, so that it ends as in a crash. */
  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.ended;
  }
}
