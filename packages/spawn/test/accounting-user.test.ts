/** Tests the user as which the script runs, and its groups. */
import { spawnSync } from "node:child_process";
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing, readProc } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { BUNDLE, until } from "./support/daemon.ts";
import { PrivateEtc } from "./support/etc.ts";

const line = (name: string, uid: number) => `${name}:x:${uid}:${uid}::/nonexistent:/bin/false\n`;

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("the script's user", () => {
  let host: AccountingHost;
  let etc: PrivateEtc;
  let script: string;
  beforeEach(() => {
    host = new AccountingHost();
    etc = new PrivateEtc();
    script = join(host.directory, "script.lua");
    writeFileSync(script, "function cgroup_released(cgroup) end");
  });
  afterEach(async () => {
    await host.stop();
    etc.remove();
  });

  const uid = () => statSync(`/proc/${host.scriptHostPid}`).uid;
  const start = (accounting: string) =>
    host.startWith(`script = "${script}"\n${accounting}`, { wrapper: etc.wrapper });

  function run(accounting: string, ...args: string[]) {
    const config = join(host.directory, "spawn.toml");
    writeFileSync(
      config,
      `[reaper]\ncgroup_root = "${host.scratch.path}"\n[accounting]\njournal = "${host.journal}"\nscript = "${script}"\n${accounting}`,
    );
    const [command = "", ...rest] = [...etc.wrapper, process.execPath, BUNDLE, "--config", config];
    const { status, stdout, stderr } = spawnSync(command, [...rest, ...args], {
      encoding: "utf8",
      // Ends the daemon if one was started by mistake.
      timeout: 10_000,
      killSignal: "SIGKILL",
    });
    return { status, stdout, stderr };
  }

  it.each([
    ["--check-config"],
    ["check"],
    ["--listen", "@cm4all-spawn-test-never", "--control", ""],
    ["--no-reaper", "--listen", "@cm4all-spawn-test-never", "--control", ""],
    ["lua", "x.lua", "--cgroup", "/a.scope"],
  ])("is refused if it is configured and does not exist (%s)", (...args) => {
    etc.setUsers(line("cm4all-spawn-reaper", 4242));
    const { status, stdout, stderr } = run('user = "cm4all-spawn-raeper"\n', ...args);
    expect(stderr).toContain(
      `${host.directory}/spawn.toml:6: accounting.user: there is no user "cm4all-spawn-raeper"`,
    );
    expect({ status, stdout }).toEqual({ status: 78, stdout: "" });
  });

  it("is refused by a reload if it does not exist: the old configuration stays until the next reload", async () => {
    etc.setUsers(line("one", 4241) + line("two", 4242));
    await start('user = "one"\n');
    await host.untilReady();
    expect(uid()).toBe(4241);
    const pid = host.scriptHostPid;
    host.reload(`script = "/nonexistent"\nuser = "tow"\n`);
    await host.daemon.untilLogged("keeping the old configuration: ");
    expect(host.daemon.log.match(/accounting\.user: there is no user "tow"/g)).toHaveLength(1);
    await host.scratch.runToEnd("a.scope/job");
    await host.untilDeleted("a.scope/job");
    expect(host.scriptHostPid).toBe(pid);
    host.reload(`script = "${script}"\nuser = "two"\n`);
    await until(
      () => host.scriptHostPids.length === 1 && uid() === 4242,
      "the script runs as the other user",
    );
  });

  it("is the default user if none is configured", async () => {
    etc.setUsers(line("cm4all-spawn-reaper", 4242));
    await start("");
    await host.untilReady();
    expect(uid()).toBe(4242);
    expect(host.daemon.log).not.toContain("there is no user");
  });

  it("has its groups and those of the daemon's unit, but not root's", async () => {
    const groups = () => {
      const [, list = ""] =
        /^Groups:\t(.*)$/m.exec(readProc(host.scriptHostPid ?? 0, "status")) ?? [];
      return list.split(" ").filter((gid) => gid !== "");
    };
    etc.setUsers(line("one", 4241));
    etc.setGroups("a:x:501:other,one\nb:x:502:oneone\nc:x:503:one\nroot:x:0:one\n");
    const command = (variable: string) => [
      ...etc.wrapper,
      ...["sh", "-c", `export ${variable}; exec setpriv --groups 0,601 "$@"`, "sh"],
    ];
    const service = { wrapper: command("SYSTEMD_EXEC_PID=$$") };
    await host.startWith(`script = "${script}"\nuser = "one"\n`, service);
    await host.untilReady();
    expect(uid()).toBe(4241);
    expect(groups()).toEqual(["501", "503", "601"]);
    await host.stop();
    host = new AccountingHost();
    script = join(host.directory, "script.lua");
    writeFileSync(script, "function cgroup_released(cgroup) end");
    // If somebody starts the daemon in a terminal, the script does not get that person's groups.
    const terminal = { wrapper: command("SYSTEMD_EXEC_PID=1") };
    await host.startWith(`script = "${script}"\nuser = "one"\n`, terminal);
    await host.untilReady();
    expect(groups()).toEqual(["501", "503"]);
  });

  it("is root, with a warning, if none is configured and there is no default user", async () => {
    const warning =
      "there is no user cm4all-spawn-reaper, and accounting.user names no other: the script runs as root";
    await start("");
    await host.untilReady();
    expect(uid()).toBe(0);
    expect(host.daemon.log.split(warning)).toHaveLength(2);
    const { status, stderr } = run("", "check");
    expect(stderr).toContain(warning);
    expect(status).toBe(0);
    expect(run("", "--check-config").status).toBe(0);
  });

  it("does not become root if the ids in its entry in /etc/passwd are not numbers", () => {
    etc.setUsers("one:x::::\n");
    expect(run('user = "one"\n', "--check-config")).toMatchObject({
      status: 78,
      stderr: expect.stringContaining("spawn.toml:6: accounting.user: /etc/passwd: "),
    });
  });
});
