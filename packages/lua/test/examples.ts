/** What the tests of examples/accounting share. */
import { mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Fd, setXattr } from "@cm4all/linux";
import { expect } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { type Fields, TestScript } from "./script.ts";

const EXAMPLES = join(import.meta.dirname, "../../../examples/accounting");

export const example = (name: string) => readFileSync(join(EXAMPLES, name), "utf8");

/** Stands for the cgroup2 mount, with directories that have attributes. */
export class ExampleRoot implements Disposable {
  readonly #root = mkdtempSync(join(tmpdir(), "examples-"));

  /** @returns its path, as scripts see it */
  make(path: string, customer: string): string {
    mkdirSync(join(this.#root, path), { recursive: true });
    using directory = new Fd(openSync(join(this.#root, path), "r"));
    setXattr(directory.number, "user.account", Buffer.from(customer));
    return path;
  }

  /** Runs an example's handler for one cgroup after the other. Gives what it printed. */
  async run(name: string, cgroups: Fields[]): Promise<string> {
    using script = new TestScript(example(name), { open: openLibraries, cgroupRoot: this.#root });
    let printed = "";
    for (const cgroup of cgroups) printed += await script.handle(cgroup);
    expect(script.errors).toEqual([]);
    return printed;
  }

  [Symbol.dispose](): void {
    rmSync(this.#root, { recursive: true });
  }
}
