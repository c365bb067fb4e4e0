/** Runs the script host in a unit of its own, or as a child process if there is no such unit. */
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { kill, until } from "./support/daemon.ts";
import { PrivateEtc } from "./support/etc.ts";
import { ScriptHosts } from "./support/script-hosts.ts";

const needs = missing("root", "catatonit", "cgroup2", "systemd");
const USER = 4242;
const BEARS_REPETITION = "handlers_bear_repetition = true";

describe.skipIf(needs !== undefined)("the script's unit", () => {
  let host: AccountingHost;
  let hosts: ScriptHosts;
  let etc: PrivateEtc;
  beforeEach(() => {
    host = new AccountingHost();
    hosts = new ScriptHosts(host.scratch);
    etc = new PrivateEtc();
    etc.setUsers(`one:x:${USER}:${USER}::/nonexistent:/bin/false\n`);
    chmodSync(host.directory, 0o777);
    host.writeHandler("say(cgroup.path)");
  });
  afterEach(async () => {
    hosts.stop();
    await host.stop();
    etc.remove();
  });

  const start = (user: string | undefined, more = "") =>
    host.startWith(
      `script = "${host.directory}/accounting.lua"\n${user === undefined ? "" : `user = "${user}"\n`}${more}`,
      {
        options: ["--script-hosts", hosts.socket],
        wrapper: etc.wrapper,
        cgroupProcs: hosts.daemonPid,
      },
    );

  const account = async (name: string) => {
    await host.scratch.runToEnd(`a.scope/${name}`);
    await until(() => host.said.includes(`/a.scope/${name}\n`), `${name} is accounted`);
  };

  it.each([["one"], [undefined]])(
    "runs the script as the unit's user (accounting.user = %s)",
    async (user) => {
      await hosts.listen({ uid: USER });
      await start(user);
      await account("job");
      expect(host.scriptHostPids).toEqual([]);
      const [pid = 0, ...others] = hosts.pids;
      expect(others).toEqual([]);
      expect(readProc(pid, "status")).toMatch(new RegExp(`^Uid:\\t${USER}\\t`, "m"));
      await host.daemon.untilLogged(
        new RegExp(
          `accounting with \\S+ in cm4all-spawn-accounting@\\d+-${host.daemon.pid}-0\\.service`,
        ),
      );
      expect(host.daemon.log).not.toContain("child");
    },
  );

  it("is started again after it has ended, and is ended if it does not answer", async () => {
    host.writeHandler("say(cgroup.path)", BEARS_REPETITION);
    await hosts.listen({ uid: USER });
    await start("one", "answer_seconds = 3\n");
    await account("first");
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const [pid = 0] = hosts.pids;
      kill(pid, signal);
      await host.scratch.runToEnd(`a.scope/${signal}`);
      await until(() => host.said.includes(signal), "another one has accounted it");
      expect(hosts.pids).toHaveLength(1);
      expect(hosts.pids).not.toContain(pid);
    }
    await host.daemon.untilLogged("its unit has ended; see journalctl -u 'cm4all-spawn-acc");
    await host.daemon.untilLogged(/no sign of life for \d+ s/);
    expect(host.daemon.log).not.toContain("child process");
  });

  it("is ended if the Lua code hangs", async () => {
    host.writeHandler(
      `local f = io.open("${host.directory}/hung")
       if f then f:close() say(cgroup.path) return end
       assert(io.open("${host.directory}/hung", "w")):close()
       local _ = ("a"):rep(40):find(("a-"):rep(40) .. "b")`,
      BEARS_REPETITION,
    );
    await hosts.listen({ uid: USER });
    await start("one", "answer_seconds = 3\ninstructions = 2000000000\n");
    await account("job");
    expect(hosts.pids).toHaveLength(1);
    await host.daemon.untilLogged(/no sign of life/);
  });

  it("ends with the daemon", async () => {
    await hosts.listen({ uid: USER });
    await start("one");
    await account("job");
    await host.crash();
    await until(() => hosts.pids.length === 0, "the script host has ended");
  });

  it("is replaced after a reload, as soon as its handlers have ended", async () => {
    host.writeHandler(
      `local f = io.open("${host.directory}/go")
       if f then f:close() else coroutine.yield() end`,
    );
    await hosts.listen({ uid: USER });
    await start("one", "handler_seconds = 2\n");
    await host.scratch.runToEnd("a.scope/slow");
    await until(async () => (await host.accounting()).runningHandlers === 1, "it runs");
    const [old] = hosts.pids;
    writeFileSync(join(host.directory, "go"), "");
    host.reload(
      `script = "${host.directory}/accounting.lua"\nuser = "one"\nhandler_seconds = 2\nmax_running = 3\n`,
    );
    await until(() => hosts.pids.length === 2, "both run");
    await until(() => hosts.pids.length === 1 && hosts.pids[0] !== old, "the new one is left");
  });

  it.each([
    ["nobody listens on its socket", undefined, /connect\(address="\S+"\): ENOENT/],
    ["it ends immediately", { command: "exit 1" }, /its unit has ended/],
    [
      "it runs as another user",
      { uid: USER + 1 },
      /has the uid 4243, but accounting.user has 4242/,
    ],
    [
      "its process is in none of the daemon's units",
      { cgroup: "x.service" },
      /a process that is in none of the daemon's units/,
    ],
    [
      "its greeting names an impossible process",
      { command: `printf '\\041\\0\\0\\0{"type":"hello","pid":2147483648}' >&3; exec cat <&3` },
      /cannot be checked: pidfd_open\(.*EINVAL/,
    ],
    [
      "it was started for another connection",
      { cgroup: "cm4all-spawn-accounting@1-1-0.service" },
      /a process that is in none of the daemon's units/,
    ],
  ])("is replaced by a child process if %s", async (_, how, reason) => {
    if (how !== undefined) await hosts.listen({ uid: USER, ...how });
    await start("one");
    await account("job");
    expect(host.scriptHostPids).toHaveLength(1);
    expect(hosts.pids).toEqual([]);
    const [line = "", ...others] = host.daemon.log
      .split("\n")
      .filter((text) =>
        text.includes("the script runs in a child process of the daemon, not in a unit of its own"),
      );
    expect(line).toMatch(reason);
    expect(others).toEqual([]);
    await host.daemon.untilLogged("accounting.lua in a child process");
  });

  it("is replaced by a child process after five units in a row have not answered", async () => {
    await hosts.listen({ command: "exec cat <&3 >/dev/null" });
    await start("one", "answer_seconds = 2\n");
    // Five times 2 s, plus 8.5 s of pauses.
    await until(
      () => host.daemon.log.includes("not in a unit of its own"),
      "a child starts",
      60_000,
    );
    expect(hosts.accepted).toBe(5);
    await account("job");
    expect(host.scriptHostPids).toHaveLength(1);
    await host.daemon.untilLogged(
      /not in a unit of its own: 5 units in a row have sent no greeting; the last: no sign of life/,
    );
  });

  it("is replaced by a child process if its user is root and the configuration does not say so", async () => {
    etc.setUsers(`cm4all-spawn-reaper:x:${USER}:${USER}::/nonexistent:/bin/false\n`);
    await hosts.listen();
    await start(undefined);
    await account("job");
    expect(host.scriptHostPids).toHaveLength(1);
    await host.daemon.untilLogged(/User= of \S+ is root, but accounting.user does not name root/);
  });
});

describe("script-host.sh", () => {
  it("gives Node the options from the first line of its input, and leaves the rest in the socket", () => {
    const directory = mkdtempSync(join(tmpdir(), "script-host-sh-"));
    try {
      copyFileSync(
        join(import.meta.dirname, "../script-host.sh"),
        join(directory, "script-host.sh"),
      );
      writeFileSync(
        join(directory, "node"),
        '#!/bin/sh\nprintf "<%s>" "$@" "${LISTEN_FDS-unset}"; cat <&3\n',
        { mode: 0o755 },
      );
      // A pipe is like a socket here: the shell cannot seek back in it.
      const command = 'printf "%s\\n\\004rest" "--a=1 --b" | { exec 3<&0; exec "$0"; }';
      const { stdout } = spawnSync("sh", ["-c", command, join(directory, "script-host.sh")], {
        encoding: "utf8",
        env: { PATH: `${directory}:${process.env["PATH"]}`, LISTEN_FDS: "1" },
      });
      expect(stdout).toBe(`<--a=1><--b><${directory}/cm4all-spawn-script-host.js><unset>\x04rest`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
