/** Runs a daemon that has a script, and makes cgroups for it to account. */
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readProc, ScratchCgroup } from "@cm4all/testing";
import type { RecordSummary } from "../../src/accounting/terms/records.ts";
import type { CgroupMetrics } from "../../src/cgroup-service.ts";
import type { DaemonStatus } from "../../src/status/status.ts";
import { type DaemonOptions, kill, TestDaemon, until } from "./daemon.ts";

export class AccountingHost {
  readonly scratch: ScratchCgroup;
  readonly directory = mkdtempSync(join(tmpdir(), "accounting-"));
  #daemon: TestDaemon | undefined;
  /** Further lines of the section `reaper` of the configuration, and further sections. */
  reaperConfig = "";

  constructor(scratch = new ScratchCgroup()) {
    this.scratch = scratch;
    this.scratch.make("a.scope");
    // The script writes to this directory, possibly as another user.
    chmodSync(this.directory, 0o777);
  }

  get daemon(): TestDaemon {
    if (this.#daemon === undefined) throw new Error("the daemon is not running");
    return this.#daemon;
  }

  /** The directory of the journal, which all daemons that this object starts use in turn. */
  get journal(): string {
    return join(this.directory, "journal");
  }

  get #script(): string {
    return join(this.directory, "accounting.lua");
  }

  /** Writes the text of the script. */
  writeScript(text: string): void {
    writeFileSync(this.#script, text, "latin1");
  }

  /**
   * Writes a script with a handler.
   * @param body the handler's body, in which `say` appends a line of words to a file
   */
  writeHandler(body: string, more = ""): void {
    this.writeScript(`
      local function say(...)
        local f = assert(io.open(${JSON.stringify(join(this.directory, "output"))}, "a"))
        f:write(table.concat({...}, " "), "\\n") f:close()
      end
      function cgroup_released(cgroup) ${body} end
      ${more}`);
  }

  /** Returns the lines that the script has written, decoded as Latin-1. */
  get said(): string {
    const path = join(this.directory, "output");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  /**
   * @param accounting further lines of the section `accounting` of the configuration
   * @param options other options of the daemon
   */
  async start(accounting = "", options: Omit<DaemonOptions, "config"> = {}): Promise<void> {
    // The default user, which exists if the package is installed, could not connect to the
    // database server of a test.
    const user = /^user = /m.test(accounting) ? "" : 'user = "root"\n';
    await this.startWith(`script = "${this.#script}"\n${user}${accounting}`, options);
  }

  /** @param accounting the whole section `accounting` of the configuration */
  async startWith(accounting: string, options: Omit<DaemonOptions, "config"> = {}): Promise<void> {
    this.#daemon = await TestDaemon.start({
      journal: this.journal,
      ...options,
      config: this.#config(accounting),
    });
  }

  #config(accounting: string): string {
    return `[reaper]\ncgroup_root = "${this.scratch.path}"\nscopes = ["*.scope"]
${this.reaperConfig}
[accounting]\n${accounting}`;
  }

  /** Changes the whole section `accounting` of the configuration. */
  configure(accounting: string): void {
    writeFileSync(this.daemon.configFile, this.#config(accounting));
  }

  /** Changes the whole section `accounting` of the configuration, and reloads the daemon. */
  reload(accounting: string): void {
    this.configure(accounting);
    kill(this.daemon.pid, "SIGHUP");
  }

  /** Kills the daemon, so that it ends as in a crash. */
  async crash(): Promise<void> {
    await this.daemon.end("SIGKILL");
    this.#daemon = undefined;
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop();
    await this.scratch.remove();
    rmSync(this.directory, { recursive: true });
  }

  exists(name: string): boolean {
    return existsSync(join(this.scratch.path, name));
  }

  async untilDeleted(name: string): Promise<void> {
    await until(() => !this.exists(name), `${name} is deleted`);
  }

  async reaping(): Promise<CgroupMetrics> {
    const status = (await this.daemon.control({ command: "status" })) as DaemonStatus;
    const { reaper, accounting, journal, script } = status;
    if (accounting === undefined || journal === undefined || script === undefined)
      throw new Error("no cgroups are reaped");
    return { reaper, accounting, journal, script };
  }

  async accounting(): Promise<CgroupMetrics["accounting"]> {
    return (await this.reaping()).accounting;
  }

  /** Returns all records in the journal, oldest first. */
  async records(): Promise<RecordSummary[]> {
    const records: RecordSummary[] = [];
    for (let after = -1; ; after = records.at(-1)?.number ?? after) {
      const request = { command: "list-records", after, limit: 500 } as const;
      const page = (await this.daemon.control(request)) as RecordSummary[];
      if (page.length === 0) return records;
      records.push(...page);
    }
  }

  async untilReady(): Promise<void> {
    await until(async () => (await this.accounting()).script === "ready", "the script is ready");
  }

  /**
   * Returns the pids of all script hosts, the processes that run the script, including those that
   * have not set their process title yet.
   */
  get scriptHostPids(): number[] {
    return this.daemon
      .childPids()
      .filter((child) => /script.host/.test(readProc(child, "cmdline")));
  }

  /** Returns the pid of the script host. */
  get scriptHostPid(): number {
    const [pid] = this.scriptHostPids;
    if (pid === undefined) throw new Error("there is no script host");
    return pid;
  }
}
