import { missing, readProc, SIGUSR1_PENDING, Storm } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { type TestDaemon, until } from "./support/daemon.ts";

const ENOUGH = 50;

function findScriptHost(daemon: TestDaemon): number | undefined {
  return daemon.childPids().find((pid) => /script.host/.test(readProc(pid, "cmdline")));
}

describe.skipIf(missing("root", "catatonit", "cgroup2", "iproute2"))("SIGUSR1", () => {
  let host: AccountingHost;
  beforeEach(() => {
    host = new AccountingHost();
  });
  afterEach(() => host.stop());

  it("does nothing to the daemon and the script host from their first moment on, but ends commands of scripts as usual", async () => {
    host.writeHandler('say("ended by", os.execute("kill -USR1 $$"))');
    await host.start("", { wrapper: SIGUSR1_PENDING, start: "first line" });
    const { daemon } = host;
    let hostPid = 0;
    {
      using storm = new Storm(daemon.pid);
      await until(() => {
        hostPid = findScriptHost(daemon) ?? 0;
        return hostPid > 0;
      }, "the script host is there");
      using hostStorm = new Storm(hostPid);
      await until(() => storm.sent > ENOUGH && hostStorm.sent > ENOUGH, "it was sent often");
      expect([...storm.listening, ...hostStorm.listening]).toEqual([]);
    }
    await host.scratch.runToEnd("a.scope/job");
    await until(() => host.said !== "", "the handler was called");
    expect(host.said).toBe("ended by 10\n");
    expect(findScriptHost(daemon)).toBe(hostPid);
    expect(daemon.log).not.toContain("Debugger listening");
  });

  it("does nothing once the daemon runs, even if Node was started without the options in the bundle's first line", async () => {
    host.writeHandler("");
    const inNetwork = ["unshare", "--net", "sh", "-c", 'ip link set lo up; exec "$@"', "sh"];
    await host.start("", { wrapper: inNetwork, start: "without options" });
    await host.untilReady();
    const { daemon } = host;
    expect(readProc(daemon.pid, "cmdline")).not.toContain("--inspect-port");
    for (const pid of [daemon.pid, host.scriptHostPid]) {
      using storm = new Storm(pid);
      await until(() => storm.sent > ENOUGH, "it was sent often");
      expect([...storm.listening]).toEqual([]);
    }
    expect(daemon.log).not.toMatch(/Debugger listening|Starting inspector/);
  });
});
