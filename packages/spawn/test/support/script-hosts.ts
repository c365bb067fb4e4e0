/**
 * Script hosts as systemd starts them: systemd-socket-activate(1) is its implementation of
 * Accept=yes without the manager, and a shell does what the unit says.
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

  /** @param scratch where each host has the cgroup that it would have of systemd */
  constructor(scratch: ScratchCgroup) {
    this.#scratch = scratch;
    copyFileSync(SHELL, join(dirname(BUNDLE), "script-host.sh"));
  }

  get socket(): string {
    return join(this.#directory, "socket");
  }

  /** Where the daemon has to write its pid before it starts. */
  get daemonPid(): string {
    return join(this.#directory, "pid");
  }

  /**
   * @param uid whom the hosts run as
   * @param command is executed in the place of the host, in its cgroup
   * @param cgroup in the place of the unit's name, where `$n` is a number and `$pid` the daemon's
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

  /** How many connections there were, each of which has started a host. */
  get accepted(): number {
    return readFileSync(this.#accepted, "latin1").length;
  }

  /** The hosts that run. */
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
