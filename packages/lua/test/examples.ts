/** Functions that the tests of examples/accounting share. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { readSql } from "@cm4all/testing/sql";
import { expect } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { type Fields, TestScript } from "./script.ts";

export const EXAMPLES = join(import.meta.dirname, "../../../examples/accounting");

/** Returns the text of a script, or the statements of an SQL file. */
export const example = (name: string) =>
  name.endsWith(".sql")
    ? readSql(join(EXAMPLES, name))
    : readFileSync(join(EXAMPLES, name), "utf8");

/** A cgroup that is reported: it is running, or has become empty. */
export type Told = Fields & { readonly isRunning?: boolean };

/** Cgroups that belong to customers. */
export class ExampleRoot {
  readonly #customers = new Map<string, string>();

  /** Assigns the cgroups with this path to a customer. @returns the path */
  make(path: string, customer: string): string {
    this.#customers.set(path, customer);
    return path;
  }

  /** Runs an example's handlers for one cgroup after another. Returns the output. */
  async run(name: string, cgroups: Told[]): Promise<string> {
    return await this.runLists(
      name,
      cgroups.map((cgroup) => [cgroup]),
    );
  }

  /** Like `run`, for lists of cgroups: all cgroups of a list became empty, or all are running. */
  async runLists(name: string, lists: Told[][]): Promise<string> {
    using script = new TestScript(example(name), { open: openLibraries });
    let printed = "";
    for (const list of lists) {
      const cgroups = list.map((cgroup) => this.#withCustomer(cgroup));
      printed += await (list[0]?.isRunning
        ? script.handleRunning(...cgroups)
        : script.handle(...cgroups));
    }
    expect(script.errors).toEqual([]);
    return printed;
  }

  #withCustomer(cgroup: Fields): Fields {
    const customer = this.#customers.get(cgroup.path ?? "");
    return customer === undefined ? cgroup : { ...cgroup, xattrs: [{ "user.account": customer }] };
  }
}
