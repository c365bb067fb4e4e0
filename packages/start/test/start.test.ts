/** The program that `npm start` runs after the set-up, as a person sees it. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { cgroup2Mount, childPids, isOpenToOthers, missing } from "@cm4all/testing";
import { snippetsOfText } from "@cm4all/testing/snippets";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const PROGRAM = fileURLToPath(new URL("../dist/start.js", import.meta.url));
const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const TIMEOUT_MS = 50_000;

const needs = missing("root", "catatonit", "cgroup2", "postgres");

/** Returns the children of a process, their children, and so on. */
function descendants(pid: number): number[] {
  return childPids(pid).flatMap((child) => [child, ...descendants(child)]);
}

const isAlive = (pid: number) => existsSync(`/proc/${pid}/task/${pid}/children`);

async function until(condition: () => boolean, what: () => string): Promise<void> {
  const endMs = performance.now() + TIMEOUT_MS;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what()}`);
    await delay(20);
  }
}

/** Returns a command that runs another with a file or a directory mounted over `target`. */
function withMount(source: string, target: string): string[] {
  const inNamespace = `mount --bind ${source} ${target} && exec "$@"`;
  return ["unshare", "--mount", "--propagation", "private", "sh", "-c", inNamespace, "sh"];
}

class Start {
  readonly child: ChildProcess;
  output = "";

  /** @param wrapper a command that runs the program */
  constructor(data: string, args: string[], wrapper: string[] = [], env: NodeJS.ProcessEnv = {}) {
    const [program = "", ...rest] = [...wrapper, process.execPath, PROGRAM, ...args];
    this.child = spawn(program, rest, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, SPAWN_DATA: data, ...env },
    });
    for (const stream of [this.child.stdout, this.child.stderr])
      stream?.on("data", (text) => {
        this.output += text;
      });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error("it was not started");
    return this.child.pid;
  }

  async untilPrinted(text: string): Promise<void> {
    await until(
      () => this.output.includes(text) || this.child.exitCode !== null,
      () => `it prints ${JSON.stringify(text)}:\n${this.output}`,
    );
    if (!this.output.includes(text)) throw new Error(`it ended:\n${this.output}`);
  }

  /** The cells of the table's rows, by the cgroup's name. */
  get rows(): Map<string, string[]> {
    const [, table = ""] = this.output.split(/^ {2}cgroup .*$/m);
    const lines = table.trimStart().split("\n\n")[0]?.split("\n") ?? [];
    return new Map(
      lines.map((line) => {
        const [name = "", ...cells] = line.trim().split(/ {2,}/);
        return [name, cells];
      }),
    );
  }

  get scope(): string {
    const [, path] = /below (\S+\/sample\.scope)/.exec(this.output) ?? [];
    if (path === undefined) throw new Error("it names no scope");
    return path;
  }

  /** Returns its exit status, or the signal that ended it. */
  async end(signal: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const ended = once(this.child, "exit");
    this.child.kill(signal);
    const [status, by] = await ended;
    return status ?? by;
  }
}

describe.skipIf(needs !== undefined)("npm start", () => {
  let directory: string;
  let data: string;
  const starts: Start[] = [];

  function start(
    more: { args?: string[]; wrapper?: string[]; env?: NodeJS.ProcessEnv } = {},
  ): Start & { readonly address: string } {
    const address = `@start-test-${process.pid}-${starts.length}`;
    const args = ["--listen", address, ...(more.args ?? [])];
    const one = Object.assign(new Start(data, args, more.wrapper, more.env), { address });
    starts.push(one);
    return one;
  }

  beforeEach(() => {
    // Closed to others, as /root is.
    directory = mkdtempSync(join(tmpdir(), "start-"));
    data = join(directory, "data");
  });

  afterEach(async () => {
    for (const { child } of starts.splice(0)) {
      if (child.exitCode !== null || child.signalCode !== null) continue;
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    }
    rmSync(directory, { recursive: true });
  });

  /** Returns the processes and directories of a running program, for checks after its end. */
  function holdings(one: Start): { pids: number[]; paths: string[] } {
    const pids = descendants(one.pid);
    const scope = one.scope.replace(/\/sample\.scope$/, "");
    const name = scope.replace(/^.*\//, "");
    // The daemon, its script host, the database server and the processes of the server.
    expect(pids.length).toBeGreaterThan(5);
    return { pids, paths: [scope, `/run/${name}`] };
  }

  it("accounts cgroups in the database, and leaves nothing but its data", async () => {
    const run = join(directory, "run");
    mkdirSync(run);
    const first = start({ wrapper: withMount(run, "/run") });
    await first.untilPrinted("The daemon runs until Ctrl-C");
    expect([...first.rows.keys()]).toEqual(["backup", "build", "import", "leftover", "shop"]);
    const [existed = "", cpu = ""] = first.rows.get("shop") ?? [];
    expect(Number.parseFloat(existed)).toBeGreaterThan(0.5);
    expect(Number.parseFloat(cpu)).toBeGreaterThan(0);
    expect(first.rows.get("leftover")?.[0]).toBe("-");
    const controllers = readFileSync(`${cgroup2Mount()}/cgroup.subtree_control`, "utf8");
    for (const [title, controller] of [
      ["memory", "memory"],
      ["processes", "pids"],
      ["input and output", "io"],
    ] as const)
      expect(new RegExp(`without figures for .*${title}`).test(first.output)).toBe(
        !controllers.split(/\s/).includes(controller),
      );

    // The output suggests commands. The test runs one, and does what two others would do.
    const [suggested = "exit 1"] = /^ {2}node .* accounting list$/m.exec(first.output) ?? [];
    const inside = ["--mount", "--target", String(first.pid), "sh", "-c", suggested];
    const list = () => spawnSync("nsenter", inside, { encoding: "utf8" }).stdout;
    await until(
      () => list() === "no records wait to be accounted\n",
      () => `no record waits: ${list()}`,
    );
    mkdirSync(`${first.scope}/mine`);
    writeFileSync(`${first.scope}/mine/cgroup.procs`, String(spawn("sleep", ["0.1"]).pid));
    await first.untilPrinted(" mine: ");
    await until(
      () => !existsSync(`${first.scope}/mine`),
      () => "it is deleted",
    );

    const { pids, paths } = holdings(first);
    expect(await first.end("SIGINT")).toBe(0);
    expect(pids.filter(isAlive)).toEqual([]);
    expect(paths.filter(existsSync)).toEqual([]);
    expect(readdirSync(run)).toEqual([]);
    expect(readdirSync(data).sort()).toEqual(["journal", "postgresql"]);

    const second = start();
    await second.untilPrinted("(and 6 rows of earlier starts)");
    expect(await second.end("SIGTERM")).toBe(0);
  });

  it("runs the script as a user of its own if that user exists", async () => {
    const passwd = join(directory, "passwd");
    const entry = "cm4all-spawn-reaper:x:4242:4242::/nonexistent:/usr/sbin/nologin\n";
    writeFileSync(passwd, readFileSync("/etc/passwd", "utf8") + entry);
    chmodSync(passwd, 0o644);
    const first = start({ wrapper: withMount(passwd, "/etc/passwd") });
    await first.untilPrinted("The daemon runs until Ctrl-C");
    expect(first.rows.size).toBe(5);
    const uids = descendants(first.pid).map((pid) => statSync(`/proc/${pid}`).uid);
    // In a checkout that only root can read, the script runs as root.
    const isOpen = isOpenToOthers(dirname(PROGRAM));
    expect(uids.includes(4242)).toBe(isOpen);
    expect(first.output.includes("run as root, because no other user")).toBe(!isOpen);
  });

  it("refuses to use data that another npm start is using", async () => {
    const first = start();
    await first.untilPrinted("cgroups    below ");
    const second = start({ env: { SPAWN_DATA: relative(process.cwd(), data) } });
    expect(await once(second.child, "exit")).toEqual([1, null]);
    expect(second.output).toBe(
      `npm start is already running with the data in ${data}; SPAWN_DATA=DIR chooses another directory\n`,
    );
    await first.untilPrinted("The daemon runs until Ctrl-C");
  });

  it("ends when the daemon ends, with its message and status, and cleans up", async () => {
    const first = start();
    await first.untilPrinted("The daemon runs until Ctrl-C");
    data = join(directory, "other");
    const second = start({ args: ["--listen", `@start-test-${process.pid}-0`] });
    expect(await once(second.child, "exit")).toEqual([69, null]);
    expect(second.output).toContain("is in use: is another daemon running?");
    expect(existsSync(second.scope)).toBe(false);
  });

  it("ends everything when it is killed, and cleans up at the next start", async () => {
    // With the server of the npm package, even if Debian's is installed.
    const first = start({ env: { TEST_POSTGRES: "embedded" } });
    await first.untilPrinted("PostgreSQL 18 (npm's)");
    await first.untilPrinted("Others have something to do now");
    const { pids, paths } = holdings(first);
    const shop = readFileSync(`${first.scope}/shop/cgroup.procs`, "utf8");
    expect(await first.end("SIGKILL")).toBe("SIGKILL");
    // The work in the cgroup `shop` is left out: nobody ends it.
    const ours = pids.filter((pid) => !shop.includes(String(pid)));
    await until(
      () => !ours.some(isAlive),
      () => "the processes end",
    );
    expect(paths.filter(existsSync)).toEqual(paths);
    const second = start();
    await second.untilPrinted("The daemon runs until Ctrl-C");
    expect(second.scope).toBe(first.scope);
    expect(await second.end("SIGINT")).toBe(0);
    expect(paths.filter(existsSync)).toEqual([]);
  });

  it("ends if nobody reads its output", async () => {
    const first = start();
    await first.untilPrinted("cgroups    below ");
    first.child.stdout?.destroy();
    first.child.stderr?.destroy();
    expect(await once(first.child, "exit")).toEqual([0, null]);
    expect(existsSync(first.scope)).toBe(false);
  });

  it("runs only the daemon if the arguments leave nothing to demonstrate", async () => {
    const version = new Start(data, ["--version"]);
    await once(version.child, "exit");
    expect(version.output).toMatch(/^\d+\.\d+\.\d+\n$/);
    const alone = start({ args: ["--no-reaper", "--control", join(directory, "control")] });
    await alone.untilPrinted("listening on");
    expect(alone.output).not.toContain("database");
    // The command from README, but with the socket of this test.
    const readme = readFileSync(join(ROOT, "README.md"), "utf8");
    const client = "node packages/client/dist/cm4all-spawn-client.js";
    const shown = snippetsOfText(readme).find(({ text }) => text.startsWith(client));
    const typed = shown?.text.replace(client, `${client} --socket ${alone.address}`) ?? "exit 1";
    const { stdout } = spawnSync("sh", ["-c", typed], { cwd: ROOT, encoding: "utf8" });
    expect(stdout).toMatch(/^ *PID .*\n *1 .* init .*\n(.*\n){1,3}\n.*Message Queues/);
    expect(existsSync(data)).toBe(false);
    const pids = descendants(alone.pid);
    expect(await alone.end("SIGTERM")).toBe(0);
    // The init of the PID namespace that the command has created ends after the daemon.
    await until(
      () => !pids.some(isAlive),
      () => "the processes end",
    );
  });
});
