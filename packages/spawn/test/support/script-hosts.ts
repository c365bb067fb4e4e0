/**
 * Starts script hosts as systemd would: systemd-socket-activate(1) implements Accept=yes without
 * the service manager, and a shell script takes the place of the unit.
 */
import { type ChildProcess, spawn } from "node:child_process";
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readProc, type ScratchCgroup } from "@cm4all/testing";
import { BUNDLE, until } from "./daemon.ts";

const SHELL = fileURLToPath(new URL("../../script-host.sh", import.meta.url));

export class ScriptHosts {
  readonly #directory = mkdtempSync(join(tmpdir(), "script-hosts-"));
  readonly #scratch: ScratchCgroup;
  #listener: ChildProcess | undefined;

  /** @param scratch the cgroup in which each script host gets a cgroup, as it would from systemd */
  constructor(scratch: ScratchCgroup) {
    this.#scratch = scratch;
    copyFileSync(SHELL, join(dirname(BUNDLE), "script-host.sh"));
  }

  get socket(): string {
    return join(this.#directory, "socket");
  }

  /** A file that has to contain the daemon's pid; see `cgroupProcs` in daemon.ts. */
  get daemonPid(): string {
    return join(this.#directory, "pid");
  }

  /**
   * From now on, starts a script host for each connection to `socket`.
   * @param uid the uid that the script hosts run as
   * @param command a shell command that is run instead of the script host, in the same cgroup
   * @param cgroup the name of that cgroup, by default the name of the unit; `$n` is a number that
   *   differs for each script host, and `$pid` is the daemon's pid
   */
  async listen(how: { uid?: number; command?: string; cgroup?: string } = {}): Promise<void> {
    const { uid = 0, cgroup = "cm4all-spawn-accounting@$n-$pid-0.service" } = how;
    const user = `setpriv --reuid=${uid} --regid=${uid} --clear-groups --`;
    const { command = `exec ${user} ${dirname(BUNDLE)}/script-host.sh` } = how;
    const program = join(this.#directory, "accept");
    writeFileSync(
      program,
      `#!/bin/sh
      echo >>${this.#accepted}
      n=$$ pid=$(cat ${this.daemonPid})
      mkdir -p "${this.#scratch.path}/${cgroup}"
      echo $$ >"${this.#scratch.path}/${cgroup}/cgroup.procs"
      ${command}\n`,
      { mode: 0o755 },
    );
    this.#listener = spawn("systemd-socket-activate", ["--accept", "-l", this.socket, program], {
      stdio: ["ignore", "inherit", "ignore"],
    });
    await until(() => existsSync(this.socket), "connections are accepted");
  }

  get #accepted(): string {
    return join(this.#directory, "accepted");
  }

  /** Returns the number of connections that have been accepted so far. */
  get accepted(): number {
    return readFileSync(this.#accepted, "latin1").length;
  }

  /** Returns the pids of the running script hosts. */
  get pids(): number[] {
    return readdirSync(this.#scratch.path)
      .filter((name) => name.startsWith("cm4all-spawn-accounting@"))
      .flatMap((name) =>
        readFileSync(join(this.#scratch.path, name, "cgroup.procs"), "latin1").split("\n"),
      )
      .filter((line) => line !== "")
      .map(Number)
      .filter((pid) => readProc(pid, "cmdline").startsWith("cm4all-spawn script host"));
  }

  stop(): void {
    this.#listener?.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true });
  }
}
