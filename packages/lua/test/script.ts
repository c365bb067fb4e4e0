/** Scripts run in this process, for tests. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CgroupSnapshot } from "@cm4all/cgroup";
import { bytesOfLatin1, bytesOfText, latin1Of, textOf } from "@cm4all/linux";
import { LineOutput } from "../src/compat/index.ts";
import type { LuaState } from "../src/lua.ts";
import { Runtime, type RuntimeOptions, type ScriptFailure } from "../src/runtime/index.ts";

export const snapshot: CgroupSnapshot = {
  path: bytesOfText("/system.slice/test.scope/a"),
  id: "boot-1",
  report: 1,
  measuredMs: 2_000_000,
};

/** Figures of a cgroup, with a path of characters that stand for a byte each. */
export type Fields = Partial<Omit<CgroupSnapshot, "path">> & { readonly path?: string };

/** Options of the runtime, with a text for the cgroup root. */
export type Options = Partial<Omit<RuntimeOptions, "cgroupRoot">> & {
  readonly cgroupRoot?: string;
};

/** A handler's failure, with a character for each byte. */
interface Outcome {
  readonly message: string;
  readonly traceback: string;
}

function snapshotOf({ path, ...figures }: Fields): CgroupSnapshot {
  const fields = path === undefined ? figures : { ...figures, path: bytesOfLatin1(path) };
  return { ...snapshot, ...fields };
}

export class TestScript implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "lua-script-"));
  readonly runtime: Runtime;
  /** What the script printed. */
  printed = "";
  /** Failures that belong to no handler, and notices. */
  readonly errors: string[] = [];
  readonly warning: string | undefined;

  constructor(code: string, { cgroupRoot = "/sys/fs/cgroup", ...options }: Options = {}) {
    const output = new LineOutput((text) => {
      this.printed += text;
    });
    this.runtime = new Runtime({
      cgroupRoot: bytesOfText(cgroupRoot),
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

  /** Runs the handler to its end; gives what it printed. @throws the failure's message */
  async handle(fields: Fields = {}): Promise<string> {
    const before = this.printed.length;
    const failure = await this.outcome(fields);
    if (failure !== undefined) throw new Error(this.#strip(failure.message));
    return this.printed.slice(before);
  }

  /** Runs the handler to its end; gives its failure, with the script's directory left out. */
  async outcome(fields: Fields = {}): Promise<Outcome | undefined> {
    const failure = await new Promise<ScriptFailure | undefined>((resolve) =>
      this.runtime.run(snapshotOf(fields), resolve),
    );
    if (failure === undefined) return undefined;
    const { message, traceback = bytesOfLatin1("") } = failure;
    return { message: latin1Of(message), traceback: latin1Of(traceback) };
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
  options: Options = {},
  fields: Fields = {},
): Promise<string> {
  using script = new TestScript(`function cgroup_released(cgroup) ${body} end`, options);
  return await script.handle(fields);
}

export type Open = (L: LuaState, runtime: Runtime) => void;
