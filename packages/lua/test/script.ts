/** Scripts run in this process, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LineOutput } from "../src/compat/index.ts";
import type { LuaState } from "../src/lua.ts";
import { Runtime, type RuntimeOptions, type ScriptFailure } from "../src/runtime/index.ts";
import type { CgroupSnapshot } from "../src/snapshot.ts";

export const snapshot: CgroupSnapshot = {
  path: "/system.slice/test.scope/a",
  id: "boot-1",
  report: 1,
  measuredMs: 2_000_000,
};

export class TestScript implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "lua-script-"));
  readonly runtime: Runtime;
  /** What the script printed. */
  printed = "";
  /** Failures that belong to no handler, and notices. */
  readonly errors: string[] = [];
  readonly warning: string | undefined;

  constructor(code: string, options: Partial<RuntimeOptions> = {}) {
    const output = new LineOutput((text) => {
      this.printed += text;
    });
    this.runtime = new Runtime({
      cgroupRoot: "/sys/fs/cgroup",
      instructions: 10_000_000,
      handlerTimeoutMs: 20_000,
      onError: (source, { message }) => this.errors.push(`${source}: ${message}`),
      onNotice: (text) => this.errors.push(text),
      output,
      ...options,
    });
    const path = join(this.directory, "script.lua");
    writeFileSync(path, code, "latin1");
    try {
      this.warning = this.runtime.load(path);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Runs the handler to its end; gives what it printed. @throws the failure's message */
  async handle(fields: Partial<CgroupSnapshot> = {}): Promise<string> {
    const before = this.printed.length;
    const failure = await this.outcome(fields);
    if (failure !== undefined) throw new Error(this.#strip(failure.message));
    return this.printed.slice(before);
  }

  /** Runs the handler to its end; gives its failure, with the script's directory left out. */
  async outcome(fields: Partial<CgroupSnapshot> = {}): Promise<ScriptFailure | undefined> {
    return new Promise((resolve) => this.runtime.run({ ...snapshot, ...fields }, resolve));
  }

  #strip(message: string): string {
    return message.replaceAll(`${this.directory}/`, "");
  }

  [Symbol.dispose](): void {
    this.runtime?.close();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** What `body`, the body of a handler, prints. */
export async function printedBy(
  body: string,
  options: Partial<RuntimeOptions> = {},
  fields: Partial<CgroupSnapshot> = {},
): Promise<string> {
  using script = new TestScript(`function cgroup_released(cgroup) ${body} end`, options);
  return await script.handle(fields);
}

export type Open = (L: LuaState, runtime: Runtime) => void;
