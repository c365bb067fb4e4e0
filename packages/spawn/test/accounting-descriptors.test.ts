/** Leaves the daemon too few descriptors to start a script host: it continues, and tries again. */
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";
import { currentLimit, limitDescriptors, setLimit } from "./support/descriptors.ts";

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "with too few descriptors",
  () => {
    let host: AccountingHost;
    beforeEach(() => {
      host = new AccountingHost();
    });
    afterEach(() => host.stop());

    it.each([0, 1, 2])(
      "the script host is not started while only %s are free, and is started when more are free",
      async (free) => {
        host.writeHandler("say(cgroup.path)");
        await host.start();
        await host.untilReady();
        await host.scratch.runToEnd("a.scope/before");
        await until(() => host.said === "/a.scope/before\n", "a handler was called");
        const { daemon } = host;
        const limit = currentLimit(daemon);
        const before = await daemon.restingDescriptorCount();
        const failures = () => daemon.log.match(/the script host ended, starting another/g) ?? [];
        limitDescriptors(daemon, free);
        kill(host.scriptHostPid);
        // One line for the script host that was killed, one for the next, which cannot be started.
        await until(() => failures().length >= 2, "another one cannot be started");
        await daemon.untilLogged("EMFILE");
        limitDescriptors(daemon, free + 20);
        await host.scratch.runToEnd("a.scope/job");
        await until(() => host.said.endsWith("/a.scope/job\n"), "its handler is called");
        setLimit(daemon, limit);
        expect(daemon.log).not.toMatch(/crashed|fatal|(?:\n| \|) *at /);
        await until(() => daemon.descriptorCount() <= before, `${before} are left`);
      },
    );
  },
);
