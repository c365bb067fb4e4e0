/** Runs scripts in this process, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type CgroupRecord,
  type CgroupSnapshot,
  type EncodedRecord,
  encodeRecord,
  type XattrTable,
} from "@cm4all/cgroup";
import { bytesOfLatin1, bytesOfText, latin1Of, textOf } from "@cm4all/linux";
import { LineOutput } from "../src/compat/index.ts";
import type { LuaState } from "../src/lua.ts";
import type { RunKind } from "../src/run-kinds.ts";
import type { BeginRequest, Effect, FailureCause } from "../src/runtime/effects.ts";
import { type RunFailure, Runtime, type RuntimeOptions } from "../src/runtime/index.ts";

export const snapshot: CgroupSnapshot = {
  path: bytesOfText("/system.slice/test.scope/a"),
  id: "boot-1",
  report: 1,
  measuredMs: 2_000_000,
};

/** The attributes of a directory, by full name; a character stands for a byte. */
export type Xattrs = Readonly<Record<string, string>>;

/** A cgroup's figures and path, and the attributes of it and of its parents, nearest first. */
export type Fields = Partial<Omit<CgroupSnapshot, "path">> & {
  readonly path?: string;
  readonly xattrs?: readonly Xattrs[];
};

/** A test's options for the runtime, and the request that a run makes before its first effect. */
export type Options = Partial<RuntimeOptions> & { readonly begin?: Partial<BeginRequest> };

/** A handler's failure, with a character for each byte. */
interface Outcome {
  readonly message: string;
  readonly traceback: string;
  readonly effect: Effect;
  readonly cause: FailureCause;
}

export function recordOf({ path, xattrs = [], ...figures }: Fields = {}): CgroupRecord {
  const fields = path === undefined ? figures : { ...figures, path: bytesOfLatin1(path) };
  const table = (attributes: Xattrs): XattrTable =>
    Object.entries(attributes).map(([name, value]) => [bytesOfLatin1(name), bytesOfLatin1(value)]);
  return { snapshot: { ...snapshot, ...fields }, xattrs: xattrs.map(table) };
}

export function encodedOf(fields?: Fields): EncodedRecord {
  return encodeRecord(recordOf(fields));
}

export class TestScript implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "lua-script-"));
  readonly runtime: Runtime;
  /** The output of the script. */
  printed = "";
  /** Failures that belong to no handler, and notices. */
  readonly errors: string[] = [];
  readonly warning: string | undefined;
  readonly #begin: BeginRequest;

  constructor(code: string, { begin, ...options }: Options = {}) {
    this.#begin = { ask: () => Promise.resolve(), askSync: () => {}, ...begin };
    const output = new LineOutput((text) => {
      this.printed += text;
    });
    this.runtime = new Runtime({
      instructions: 10_000_000,
      handlerTimeoutMs: 20_000,
      onError: (source, { message }) =>
        this.errors.push(`${latin1Of(source)}: ${latin1Of(message)}`),
      onNotice: (text) => this.errors.push(latin1Of(text)),
      output,
      ...options,
    });
    const path = join(this.directory, "script.lua");
    writeFileSync(path, code, "latin1");
    try {
      const warning = this.runtime.load(path);
      this.warning = warning === undefined ? undefined : textOf(warning);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Runs the handler to its end; returns its output.
   * @throws an Error with the failure's message, without the script's directory
   */
  async handle(...cgroups: Fields[]): Promise<string> {
    return await this.#printing(cgroups, "released");
  }

  /** Like `handle`, for running cgroups. */
  async handleRunning(...cgroups: Fields[]): Promise<string> {
    return await this.#printing(cgroups, "running");
  }

  async #printing(cgroups: readonly Fields[], kind: RunKind): Promise<string> {
    const before = this.printed.length;
    const failure = await this.#run(kind, cgroups);
    if (failure !== undefined) throw new Error(this.#strip(latin1Of(failure.message)));
    return this.printed.slice(before);
  }

  /** Runs the handler to its end; returns its failure, or undefined if it succeeds. */
  async outcome(...cgroups: Fields[]): Promise<Outcome | undefined> {
    const failure = await this.#run("released", cgroups);
    if (failure === undefined) return undefined;
    const { message, traceback = bytesOfLatin1(""), effect, cause } = failure;
    return { message: latin1Of(message), traceback: latin1Of(traceback), effect, cause };
  }

  #run(kind: RunKind, cgroups: readonly Fields[]): Promise<RunFailure | undefined> {
    const records = cgroups.length === 0 ? [recordOf()] : cgroups.map(recordOf);
    return new Promise((resolve) => this.runtime.run(kind, records, this.#begin, resolve));
  }

  #strip(message: string): string {
    return message.replaceAll(`${this.directory}/`, "");
  }

  [Symbol.dispose](): void {
    this.runtime?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Runs a handler with this body; returns its output. */
export async function printedBy(
  body: string,
  options: Options = {},
  fields: Fields = {},
): Promise<string> {
  using script = new TestScript(`function cgroup_released(cgroup) ${body} end`, options);
  return await script.handle(fields);
}

export type Open = (L: LuaState, runtime: Runtime) => void;
