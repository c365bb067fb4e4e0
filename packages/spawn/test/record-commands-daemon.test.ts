/** Tests `cm4all-spawn accounting` with a real daemon: parked records, and decisions on them. */
import { spawnSync } from "node:child_process";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { BUNDLE, until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "records of a daemon",
  () => {
    let host: AccountingHost;
    beforeEach(() => {
      host = new AccountingHost();
    });
    afterEach(() => host.stop());

    function accounting(...args: string[]): string {
      const { configFile, controlSocket } = host.daemon;
      const options = [
        "--config",
        configFile,
        "--control",
        controlSocket,
        "--journal",
        host.journal,
      ];
      const command = [BUNDLE, ...options, "accounting", ...args];
      const { status, stdout, stderr } = spawnSync(process.execPath, command, { encoding: "utf8" });
      if (status !== 0) throw new Error(`${args.join(" ")}: status ${status}: ${stderr}`);
      return stdout;
    }

    interface Listed {
      readonly number: number;
      readonly state: string;
      readonly path: string;
      readonly id: string;
      readonly reason?: string;
    }
    const list = (): Listed[] => JSON.parse(accounting("list", "--json"));

    it("wait, are parked with a reason, and are retried or dropped", async () => {
      host.writeHandler(`say("tried", cgroup.path) error("boom")`);
      await host.start();
      for (const name of ["one", "two", "three"]) {
        await host.scratch.runToEnd(`a.scope/${name}`);
        await host.untilDeleted(`a.scope/${name}`);
      }
      await until(
        () => list().filter(({ state }) => state === "parked").length === 3,
        "all are parked",
      );
      const [one, two, three] = list();
      expect(one?.reason).toContain("boom");
      expect(accounting("list")).toMatch(/\n3 are parked\n$/);
      expect(accounting("show", String(one?.number))).toMatch(/^cpu_total +\d/m);

      host.writeHandler(`say("booked", cgroup.path)`);
      await host.crash();
      await host.start();
      await host.untilReady();
      expect(list().map(({ number, state }) => [number, state])).toEqual(
        [one, two, three].map((each) => [each?.number, "parked"]),
      );
      expect(accounting("drop", one?.id ?? "")).toContain(`dropped record ${one?.number}, parked`);
      expect(accounting("retry", String(two?.number))).toContain("handed over again: ");
      await until(() => host.said.includes("booked /a.scope/two"), "it is booked");
      expect(accounting("retry", "--all")).toBe("1 record is handed over again\n");
      await until(() => list().length === 0, "nothing waits");
      expect(host.said.match(/^booked .*$/gm)).toEqual([
        "booked /a.scope/two",
        "booked /a.scope/three",
      ]);
    });
  },
);
