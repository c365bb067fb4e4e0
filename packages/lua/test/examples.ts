/** What the tests of examples/accounting share. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { type Fields, TestScript } from "./script.ts";

const EXAMPLES = join(import.meta.dirname, "../../../examples/accounting");

export const example = (name: string) => readFileSync(join(EXAMPLES, name), "utf8");

/** Cgroups that belong to customers. */
export class ExampleRoot {
  readonly #customers = new Map<string, string>();

  /** @returns the path, whose cgroups are this customer's from now on */
  make(path: string, customer: string): string {
    this.#customers.set(path, customer);
    return path;
  }

  /** Runs an example's handler for one cgroup after the other. Gives what it printed. */
  async run(name: string, cgroups: Fields[]): Promise<string> {
    return await this.runLists(
      name,
      cgroups.map((cgroup) => [cgroup]),
    );
  }

  /**
   * Runs an example's handler for one list of cgroups after the other.
   * @param kind whether it is that of cgroups that ran empty, or of those that go on
   */
  async runLists(
    name: string,
    lists: Fields[][],
    kind: "released" | "running" = "released",
  ): Promise<string> {
    using script = new TestScript(example(name), { open: openLibraries });
    let printed = "";
    for (const list of lists) {
      const cgroups = list.map((cgroup) => this.#withCustomer(cgroup));
      printed +=
        kind === "released"
          ? await script.handle(...cgroups)
          : await script.handleRunning(...cgroups);
    }
    expect(script.errors).toEqual([]);
    return printed;
  }

  #withCustomer(cgroup: Fields): Fields {
    const customer = this.#customers.get(cgroup.path ?? "");
    return customer === undefined ? cgroup : { ...cgroup, xattrs: [{ "user.account": customer }] };
  }
}
