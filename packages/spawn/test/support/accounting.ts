/** A daemon with a script, and cgroups for it. */
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
  /** Further lines of that section of the configuration. */
  reaperConfig = "";

  constructor(scratch = new ScratchCgroup()) {
    this.scratch = scratch;
    this.scratch.make("a.scope");
    // Where the user of the script exists, it writes there as well.
    chmodSync(this.directory, 0o777);
  }

  get daemon(): TestDaemon {
    if (this.#daemon === undefined) throw new Error("the daemon does not run");
    return this.#daemon;
  }

  /** Of all its daemons, one after the other. */
  get journal(): string {
    return join(this.directory, "journal");
  }

  get #script(): string {
    return join(this.directory, "accounting.lua");
  }

  /** Writes the script as it is. */
  writeScript(text: string): void {
    writeFileSync(this.#script, text, "latin1");
  }

  /**
   * Writes a script with a handler.
   * @param body where `say` appends a line of words to a file
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

  /** What the script has said, bytes as latin1. */
  get said(): string {
    const path = join(this.directory, "output");
    return existsSync(path) ? readFileSync(path, "latin1") : "";
  }

  /**
   * @param accounting further lines of that section of the configuration
   * @param options how the daemon is started otherwise
   */
  async start(accounting = "", options: Omit<DaemonOptions, "config"> = {}): Promise<void> {
    // The user of an installed daemon, where there is one, may not connect to the test's server.
    const user = /^user = /m.test(accounting) ? "" : 'user = "root"\n';
    await this.startWith(`script = "${this.#script}"\n${user}${accounting}`, options);
  }

  /** @param accounting that whole section of the configuration */
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

  /** Changes that whole section of the configuration. */
  configure(accounting: string): void {
    writeFileSync(this.daemon.configFile, this.#config(accounting));
  }

  /** Changes that whole section of the configuration, and has the daemon read it. */
  reload(accounting: string): void {
    this.configure(accounting);
    kill(this.daemon.pid, "SIGHUP");
  }

  /** Ends the daemon as a crash does. */
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

  /** All records that wait in the journal, oldest first. */
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

  /** The pids of all script hosts, also of those that have not got their title yet. */
  get scriptHostPids(): number[] {
    return this.daemon
      .childPids()
      .filter((child) => /script.host/.test(readProc(child, "cmdline")));
  }

  /** The pid of the script host. */
  get scriptHostPid(): number {
    const [pid] = this.scriptHostPids;
    if (pid === undefined) throw new Error("there is no script host");
    return pid;
  }
}
