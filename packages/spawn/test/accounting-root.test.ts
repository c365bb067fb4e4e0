/** Runs the daemon and a script with a cgroup root whose name is not ASCII. */
import { openSync } from "node:fs";
import { Fd, setXattr } from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "a cgroup root with non-ASCII letters",
  () => {
    let host: AccountingHost;
    beforeEach(() => {
      host = new AccountingHost(new ScratchCgroup(`spawn-test-wurzel-ä€-${process.pid}`));
    });
    afterEach(() => host.stop());

    it("is named in the log, and the cgroups below it are reaped with their attributes", async () => {
      host.writeHandler("say(cgroup.path, cgroup.parent.xattr.account)");
      await host.start();
      {
        using scope = new Fd(openSync(`${host.scratch.path}/a.scope`, "r"));
        setXattr(scope.number, "user.account", Buffer.from("42"));
      }
      await host.scratch.runToEnd("a.scope/job");
      await host.untilDeleted("a.scope/job");
      await until(() => host.said !== "", "the handler was called");
      expect(host.said).toBe("/a.scope/job 42\n");
      await host.daemon.untilLogged(`reaping cgroups below ${host.scratch.path}`);
    });
  },
);
