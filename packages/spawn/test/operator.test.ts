/** Tests the commands for operators: status, list, purge-namespaces, reload. */
import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { missing, stopProcess } from "@cm4all/testing";
import { Ajv2020 } from "ajv/dist/2020.js";
import { afterEach, describe, expect, it, onTestFinished } from "vitest";
import { formatSchemas } from "../src/operator/schemas.ts";
import type { DaemonStatus } from "../src/status/status.ts";
import { AccountingHost } from "./support/accounting.ts";
import { BUNDLE, type DaemonOptions, TestDaemon, until } from "./support/daemon.ts";

/** The program that makes shell completions from the output of `--help`. */
const COMPLETION = join(import.meta.dirname, "../../deb/completion.mjs");

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program with Node, without blocking this process. */
function run(...words: string[]): Promise<Result> {
  return execute(process.execPath, ...words);
}

function execute(program: string, ...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    const child = execFile(program, args, (_, stdout, stderr) =>
      resolve({ status: child.exitCode ?? -1, stdout, stderr }),
    );
  });
}

/**
 * Runs a command without `--control`. In its mount namespace, the daemon's control socket is at the
 * default path.
 */
function askAtDefault({ directory, configFile }: TestDaemon, ...args: string[]): Promise<Result> {
  const script = `mount -t tmpfs none /run && mkdir /run/cm4all-spawn &&
    mount --bind "$0" /run/cm4all-spawn && exec "$@"`;
  const command = [process.execPath, BUNDLE, "--config", configFile, ...args];
  return execute("unshare", "--mount", "sh", "-c", script, directory, ...command);
}

async function daemonMetrics(daemon: TestDaemon): Promise<DaemonStatus["daemon"]> {
  return ((await daemon.control({ command: "status" })) as DaemonStatus).daemon;
}

/** Runs a command against a daemon. */
async function ask(
  { controlSocket }: { readonly controlSocket: string },
  ...args: string[]
): Promise<Result> {
  return run(BUNDLE, "--control", controlSocket, ...args);
}

/** The schemas that the build has written and the package installs. */
const SCHEMAS = join(dirname(BUNDLE), "schema");
const validators = new Map(
  readdirSync(SCHEMAS).map((file) => [
    basename(file, ".schema.json"),
    new Ajv2020({ allowUnionTypes: true }).compile(
      JSON.parse(readFileSync(join(SCHEMAS, file), "utf8")),
    ),
  ]),
);

function expectValid(command: string, json: string): unknown {
  const value: unknown = JSON.parse(json);
  const validate = validators.get(command);
  expect(validate?.(value), JSON.stringify(validate?.errors)).toBe(true);
  return value;
}

describe("the schemas", () => {
  it("are the same as in the sources", () => {
    const built = readdirSync(SCHEMAS).map((file) => [
      file,
      readFileSync(join(SCHEMAS, file), "utf8"),
    ]);
    expect(Object.fromEntries(built)).toEqual(formatSchemas());
  });
});

describe.skipIf(missing("root", "catatonit") !== undefined)("the commands for operators", () => {
  let daemon: TestDaemon | undefined;
  const start = async (options: DaemonOptions = {}) => {
    daemon = await TestDaemon.start(options);
    return daemon;
  };
  afterEach(async () => {
    await daemon?.stop();
    daemon = undefined;
  });

  it("the exit status of status shows whether the daemon is well, degraded, or not running", async () => {
    const one = await start();
    const well = await ask(one, "status");
    expect(well.status).toBe(0);
    expect(well.stdout).toMatch(/^well\ndaemon +cm4all-spawn /);
    writeFileSync(one.configFile, "[namespaces]\nmax_nmaes = 1\n");
    one.child.kill("SIGHUP");
    await one.untilLogged("keeping the old configuration");
    const degraded = await ask(one, "status");
    expect(degraded.status).toBe(1);
    expect(degraded.stdout).toMatch(/^degraded: .*spawn\.toml:2: namespaces\.max_nmaes/);
    const json = await ask(one, "status", "--json");
    expect(json.status).toBe(1);
    expect(expectValid("status", json.stdout)).toMatchObject({ state: "degraded" });
    writeFileSync(one.configFile, "[namespaces]\nmax_names = 1\n");
    expect((await ask(one, "status")).stdout).toContain("spawn.toml was changed, see ");
    expect((await ask(one, "reload")).status).toBe(0);
    expect((await ask(one, "status")).status).toBe(0);
    await one.stop();
    const down = await ask(one, "status");
    expect(down).toMatchObject({ status: 3, stderr: expect.stringContaining("is not running") });
  });

  it("a limit that is nearly reached is reported", async () => {
    const one = await start({ config: "[namespaces]\nmax_names = 2\nmax_names_per_uid = 2\n" });
    using client = one.connect();
    using _ = client.ask("a", { ipc: true, lease: true });
    client.ask("b", { ipc: true })[Symbol.dispose]();
    const { status, stdout } = await ask(one, "status");
    expect(status).toBe(1);
    expect(stdout).toContain("degraded: 2 names of at most 2, see max_names; ");
  });

  it("list and status NAME show names, and the processes that hold their leases", async () => {
    const one = await start();
    expect(await ask(one, "list")).toMatchObject({ status: 0, stdout: "there are no names\n" });
    using client = one.connect();
    const lease = client.ask("web", { ipc: true, pid: true, lease: true });
    client.ask("batch", { ipc: true })[Symbol.dispose]();
    const { status, stdout, stderr } = await ask(one, "list");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const lines = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(lines[0]?.[0]).toBe("NAME");
    expect(lines[1]).toEqual(["batch", "ipc", "-", expect.stringMatching(/^\d+ s$/), "0", "-"]);
    expect(lines[2]?.slice(0, 5)).toEqual(["web", "ipc pid", "0", "-", "0"]);
    expect(lines[2]?.[5]).toContain(`[${process.pid}]`);
    expectValid("list", (await ask(one, "list", "--json")).stdout);
    const name = expectValid("status-name", (await ask(one, "status", "web", "--json")).stdout);
    expect(name).toMatchObject({
      name: "web",
      isLeased: true,
      leaseHolders: [{ pid: process.pid }],
      init: { pid: one.childPids()[0] },
    });
    expect((await ask(one, "status", "batch")).stdout).toMatch(/leased by +nobody, last used/);
    lease[Symbol.dispose]();
    expect(await ask(one, "status", "wbe")).toMatchObject({
      status: 65,
      stderr: "cm4all-spawn: there is no name wbe (did you mean web?)\n",
    });
  });

  it("list shows names, however long the paths of other processes' open files are", async () => {
    const one = await start();
    using client = one.connect();
    using _lease = client.ask("web", { ipc: true, lease: true });
    const directory = mkdtempSync(join(tmpdir(), "operator-deep-"));
    onTestFinished(() => void spawnSync("rm", ["-rf", directory]));
    // A path that is longer than PATH_MAX: readlink(2) fails.
    const name = "d".repeat(250);
    const script = `cd ${directory}; for i in $(seq 20); do mkdir ${name}; cd ${name}; done
      exec 3<.; echo deep; exec sleep 1000`;
    const other = spawn("bash", ["-c", script], { stdio: ["ignore", "pipe", "inherit"] });
    onTestFinished(() => void other.kill("SIGKILL"));
    await once(other.stdout, "data");
    const { status, stdout, stderr } = await ask(one, "list");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toContain(`[${process.pid}]`);
  });

  it("shell completion offers the names", async () => {
    const one = await start();
    using client = one.connect();
    for (const name of ["web", "wiki", "batch"]) client.ask(name, { ipc: true })[Symbol.dispose]();
    const directory = mkdtempSync(join(tmpdir(), "operator-completion-"));
    try {
      await run(COMPLETION, "cm4all-spawn", BUNDLE, directory);
      const program = `'${process.execPath}' '${BUNDLE}' --control '${one.controlSocket}'`;
      for (const command of ["status", "purge-namespaces"]) {
        const script = `cm4all-spawn() { ${program} "$@"; }; source '${directory}/cm4all-spawn'
          COMP_WORDS=(cm4all-spawn ${command} w) COMP_CWORD=2; _cm4all_spawn
          echo "\${COMPREPLY[@]}"`;
        expect((await execute("bash", "-c", script)).stdout).toBe("web wiki\n");
      }
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("purge-namespaces ends one name, and leaves the others", async () => {
    const one = await start();
    using client = one.connect();
    for (const name of ["a", "b", "c"])
      client.ask(name, { ipc: true, pid: true })[Symbol.dispose]();
    expect((await ask(one, "purge-namespaces", "nobody")).status).toBe(65);
    const result = await ask(one, "purge-namespaces", "b", "--json");
    expect(expectValid("purge-namespaces", result.stdout)).toEqual({ ended: 1, left: 2 });
    expect(JSON.parse((await ask(one, "list", "--json")).stdout)).toMatchObject([
      { name: "a" },
      { name: "c" },
    ]);
    expect((await ask(one, "purge-namespaces", "--idle", "a")).stdout).toBe(
      "names ended: 1, left: 1\n",
    );
    expect((await ask(one, "purge-namespaces", "--all")).stdout).toBe("names ended: 1, left: 0\n");
  });

  it("purge-namespaces ends all names only with --all, not with an empty list", async () => {
    const one = await start();
    using client = one.connect();
    client.ask("a", { ipc: true })[Symbol.dispose]();
    for (const args of [[], ["--json"], ["--idle"], ["--all", "a"]]) {
      const refused = await ask(one, "purge-namespaces", ...args);
      expect(refused).toMatchObject({ status: 64, stdout: "" });
      expect(refused.stderr).toMatch(
        /names,? or (?:--all|--all --idle for all that are not in use)\n$/,
      );
    }
    expect((await one.status()).names).toBe(1);
    expect((await ask(one, "purge-namespaces", "--all", "--idle")).stdout).toBe(
      "names ended: 1, left: 0\n",
    );
  });

  it("names may be as long as requests allow, and contain bytes that JSON escapes", async () => {
    const one = await start();
    using client = one.connect();
    const names = ['"', "\\", "\x7f", "x"].map((byte) => byte.repeat(4080)).sort();
    for (const name of names) client.ask(name, { ipc: true })[Symbol.dispose]();
    const listed = JSON.parse((await ask(one, "list", "--json")).stdout);
    expect(listed.map((each: { name: string }) => each.name).sort()).toEqual(names);
    for (const name of names) {
      const { stdout } = await ask(one, "status", name, "--json");
      expect(JSON.parse(stdout)).toMatchObject({ name });
    }
    expect((await ask(one, "purge-namespaces", ...names)).stdout).toBe("names ended: 4, left: 0\n");
  });

  it("purge-namespaces accepts more names than fit into a request", async () => {
    const one = await start();
    using client = one.connect();
    const names = Array.from({ length: 100 }, (_, i) => `${i}-`.padEnd(1000, "x"));
    for (const name of [...names, "other"]) client.ask(name, { ipc: true })[Symbol.dispose]();
    const result = await ask(one, "purge-namespaces", ...names, "--json");
    expect(expectValid("purge-namespaces", result.stdout)).toEqual({ ended: 100, left: 1 });
    expect(JSON.parse((await ask(one, "list", "--json")).stdout)).toMatchObject([
      { name: "other" },
    ]);
  });

  it("reload fails if the configuration has a mistake, and says which settings need a restart", async () => {
    const one = await start();
    expect(await ask(one, "reload")).toMatchObject({
      status: 0,
      stdout: "reloaded the configuration\n",
    });
    writeFileSync(one.configFile, "[accounting]\njournal = '/elsewhere'\n[control]\nsocket='/x'\n");
    // The command line, which takes precedence, sets both.
    expect((await ask(one, "reload")).stdout).toBe("reloaded the configuration\n");
    writeFileSync(one.configFile, "[reaper]\ncheck_seconds = 7\n");
    expect((await ask(one, "reload")).stdout).toContain(
      "only a restart applies reaper.check_seconds",
    );
    expect((await ask(one, "status")).stdout).toContain("only a restart applies reaper.check_");
    writeFileSync(one.configFile, "[reaper]\ncheck_seconds = 'x'\n");
    expect(await ask(one, "reload")).toMatchObject({
      status: 78,
      stderr: expect.stringContaining("spawn.toml:2: reaper.check_seconds"),
    });
    expect((await ask(one, "status", "--json")).stdout).toContain('"failedReloads": 1');
  });

  it("reload sends a signal if there is no control socket", async () => {
    const one = await start({ options: ["--control", ""] });
    const { status } = await ask(one, "reload", "--signal", String(one.pid));
    expect(status).toBe(0);
    await one.untilLogged("reloaded the configuration");
    expect((await ask(one, "reload", "--signal", "0")).status).toBe(64);
  });

  it("reload --signal fails if the configuration has a mistake, and the daemon counts the failure", async () => {
    const one = await start();
    for (const text of ["[reaper]\ncheck_seconds = 'x'\n", "[reaper"]) {
      const { failedReloads } = await daemonMetrics(one);
      writeFileSync(one.configFile, text);
      const args = ["--config", one.configFile, "reload", "--signal", String(one.pid)];
      expect(await run(BUNDLE, ...args)).toMatchObject({
        status: 78,
        stderr: expect.stringMatching(/^cm4all-spawn: \S+spawn\.toml:\d: [^\n]+\n$/),
      });
      await until(
        async () => (await daemonMetrics(one)).failedReloads === failedReloads + 1,
        "the failed reload is counted",
      );
    }
    expect(one.log.match(/keeping the old configuration/g)).toHaveLength(2);
    rmSync(one.configFile);
    const missing = ["--config", one.configFile, "reload", "--signal", String(one.pid)];
    expect((await run(BUNDLE, ...missing)).status).toBe(66);
    await until(async () => (await daemonMetrics(one)).failedReloads === 3, "it is counted");
  });

  it("commands use the default socket if the configuration has a mistake", async () => {
    const one = await start();
    using client = one.connect();
    client.ask("a", { ipc: true })[Symbol.dispose]();
    writeFileSync(one.configFile, "[namespaces]\nmax_nmaes = 1\n");
    const warning = expect.stringMatching(
      /^cm4all-spawn: warning: \S+spawn\.toml:2: namespaces\.max_nmaes.*; asking the daemon at \/run\/cm4all-spawn\/control\.sock\n/,
    );
    expect(await askAtDefault(one, "status")).toMatchObject({
      status: 1,
      stdout: expect.stringContaining(`pid ${one.pid}`),
      stderr: warning,
    });
    expect(await askAtDefault(one, "list")).toMatchObject({ status: 0, stderr: warning });
    expect(await askAtDefault(one, "purge-namespaces", "--all", "--idle")).toEqual({
      status: 0,
      stdout: "names ended: 1, left: 0\n",
      stderr: warning,
    });
    expect(await askAtDefault(one, "reload")).toMatchObject({ status: 78, stderr: warning });
    expect((await askAtDefault(one, "status")).stdout).toMatch(/^degraded: .*max_nmaes/);
    // The daemon has no journal, and the command cannot read the journal's path from the file.
    expect(await askAtDefault(one, "accounting", "list")).toMatchObject({ status: 78 });
  });

  /** Runs `work` while `serve` handles connections to a separate socket. */
  async function whileAnswering(
    serve: (socket: Socket) => void,
    work: (place: { readonly controlSocket: string }) => Promise<void>,
  ): Promise<void> {
    const directory = mkdtempSync(join(tmpdir(), "answering-"));
    const controlSocket = join(directory, "socket");
    const server = createServer((socket) => socket.once("data", () => serve(socket)));
    try {
      await once(server.listen(controlSocket), "listening");
      await work({ controlSocket });
    } finally {
      server.close();
      rmSync(directory, { recursive: true });
    }
  }

  it.each<[string, (socket: Socket) => void]>([
    ["ends before it answers", (socket) => socket.destroy()],
    ["ends while it answers", (socket) => socket.end('{"waitsFor')],
    [
      "is older than the command",
      (socket) => socket.end('{"error":"unknown command: reload","exitStatus":76}\n'),
    ],
  ])("reload sends a signal if the daemon %s", async (_, serve) => {
    await whileAnswering(serve, async (place) => {
      const child = spawn("sleep", ["60"]);
      const ended = once(child, "exit");
      const args = ["reload", "--signal", String(child.pid)];
      expect(await ask(place, ...args)).toEqual({ status: 0, stdout: "", stderr: "" });
      expect(await ended).toEqual([null, "SIGHUP"]);
      expect(await ask(place, ...args)).toMatchObject({
        status: 69,
        stderr: `cm4all-spawn: there is no process ${child.pid}\n`,
      });
    });
  });

  it("reload sends no signal if the daemon has answered", async () => {
    const serve = (socket: Socket) => socket.end('{"error":"defect","exitStatus":76}\n');
    await whileAnswering(serve, async (place) => {
      const child = spawn("sleep", ["60"]);
      const ended = once(child, "exit");
      const failed = await ask(place, "reload", "--signal", String(child.pid));
      expect(failed).toMatchObject({ status: 76, stderr: "cm4all-spawn: defect\n" });
      child.kill("SIGKILL");
      expect(await ended).toEqual([null, "SIGKILL"]);
    });
  });

  it("status shows a daemon that is older than the command", async () => {
    const one = await start();
    const { state, problems, configuration, ...old } = (await one.control({
      command: "status",
    })) as DaemonStatus;
    expect([state, problems, configuration.file]).toEqual(["well", [], one.configFile]);
    const serve = (socket: Socket) => socket.end(`${JSON.stringify(old)}\n`);
    await whileAnswering(serve, async (place) => {
      const { status, stdout } = await ask(place, "status");
      expect(status).toBe(1);
      expect(stdout).toMatch(/^degraded: the daemon is older than this command/);
      expect(stdout).toContain(`pid ${one.pid}`);
      expectValid("status", (await ask(place, "status", "--json")).stdout);
    });
  });

  it("status reports that the daemon is not running if it is killed before it answers", async () => {
    const one = await start();
    const connections = () =>
      readFileSync("/proc/net/unix", "utf8").split(one.controlSocket).length - 1;
    stopProcess(one.pid);
    const before = connections();
    const asked = ask(one, "status");
    await until(() => connections() > before, "the command is connected");
    await one.end("SIGKILL");
    expect(await asked).toMatchObject({
      status: 3,
      stderr: expect.stringContaining("the daemon has closed the connection without an answer"),
    });
  });

  it("a stale socket is replaced, and any other file is an error", async () => {
    const directory = mkdtempSync(join(tmpdir(), "listen-"));
    const address = join(directory, "socket");
    try {
      const first = await TestDaemon.start({ address });
      await first.end("SIGKILL");
      expect(statSync(address).isSocket()).toBe(true);
      const one = await start({ address });
      const args = ["--control", "", "--no-reaper", "--listen"];
      expect(await ask(one, ...args, address)).toMatchObject({
        status: 69,
        stderr: expect.stringContaining(`${address} is in use`),
      });
      const file = join(directory, "file");
      writeFileSync(file, "mine");
      expect(await ask(one, ...args, file)).toMatchObject({
        status: 73,
        stderr: expect.stringContaining(`${file} exists and is not a socket`),
      });
      expect(readFileSync(file, "utf8")).toBe("mine");
      expect(await ask(one, ...args, join(directory, "missing/socket"))).toMatchObject({
        status: 73,
        stderr: expect.stringMatching(/^\S+ cannot listen on .*ENOENT.*\n$/),
      });
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("a mistyped command causes an error that suggests the intended command", async () => {
    const one = await start();
    expect(await ask(one, "staus")).toMatchObject({
      status: 64,
      stderr: "cm4all-spawn: unknown command staus (did you mean status?)\n",
    });
  });

  /** Runs `status --watch` on a terminal of this size, and calls `what`, which must quit it. */
  async function watchOnTerminal(
    { controlSocket }: { readonly controlSocket: string },
    columns: number,
    what: (terminal: ChildProcess, shown: () => string) => Promise<void>,
    rows = 50,
  ): Promise<{ shown: string; status: number | null }> {
    const command = `stty cols ${columns} rows ${rows}; exec "$NODE" "$PROGRAM" --control "$SOCKET" status --watch`;
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env: { ...process.env, NODE: process.execPath, PROGRAM: BUNDLE, SOCKET: controlSocket },
      stdio: ["pipe", "pipe", "inherit"],
    });
    onTestFinished(() => void child.kill());
    let shown = "";
    child.stdout?.setEncoding("utf8").on("data", (data) => {
      shown += data;
    });
    const exited = once(child, "exit");
    await what(child, () => shown);
    const [status] = (await exited) as [number | null];
    return { shown, status };
  }

  it.each([60, 80])("status --watch fits %d columns, and can be quit with q", async (columns) => {
    const one = await start();
    const { shown, status } = await watchOnTerminal(one, columns, async (terminal, text) => {
      await until(() => text().includes("configuration"), "it is shown");
      terminal.stdin?.write("q");
    });
    expect(status).toBe(0);
    const [, frame = ""] = shown.split("\x1b[H");
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal's sequences
    const lines = frame.split(/\r+\n/).map((line) => line.replace(/\x1b\[[0-9;?]*[a-zA-Z]/g, ""));
    expect(lines[0]).toBe("well");
    // Nothing is cut off: the longest text is complete to its last word.
    expect(lines.join(" ").replace(/\s+/g, " ")).toContain("at most 1024 of one uid");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });

  it("status --watch shows which lines are visible on a terminal with few rows, and scrolls", async () => {
    const one = await start();
    await watchOnTerminal(
      one,
      80,
      async (terminal, text) => {
        await until(
          () => /lines 1-9 of \d\d: Up, Down, Page Up, Page Down/.test(text()),
          "it shows that",
        );
        terminal.stdin?.write("\x1b[B\x1b[B");
        await until(() => /lines 3-11 of \d\d/.test(text()), "it scrolls");
        terminal.stdin?.write("q");
      },
      10,
    );
  });

  it("status --watch outlives a restart of the daemon", async () => {
    const one = await start();
    const address = one.address;
    const { shown } = await watchOnTerminal(one, 80, async (terminal, text) => {
      await until(() => text().includes(`pid ${one.pid}`), "the daemon is shown");
      const { controlSocket } = one;
      await one.stop();
      await until(() => text().includes("is not running"), "its end is shown");
      const next = await start({ address, options: ["--control", controlSocket] });
      await until(() => text().includes(`pid ${next.pid}`), "the next one is shown");
      terminal.stdin?.write("q");
    });
    expect(shown).toContain("is not running");
  });
});

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "the status of accounting",
  () => {
    let host: AccountingHost | undefined;
    afterEach(async () => {
      await host?.stop();
      host = undefined;
    });

    it("shows what waits and since when, what failed last and why, and what is parked", async () => {
      const before = Date.now();
      host = new AccountingHost();
      host.writeHandler(
        'if cgroup.path:find("late") then say(cgroup.path) error("late") end error("no route")',
      );
      await host.start();
      const { daemon } = host;
      await host.scratch.runToEnd("a.scope/late", "true");
      const parked = await untilStatus(daemon, "1 cgroup is parked");
      expect(parked.status).toBe(1);
      expect(parked.stdout).toMatch(
        /^degraded: .*1 cgroup is parked, see "cm4all-spawn accounting/,
      );
      await host.scratch.runToEnd("a.scope/job", "true");
      const failing = await untilStatus(daemon, "no route");
      expect(failing.status).toBe(1);
      expect(failing.stdout).toMatch(/^degraded: .*no route/);
      expect(failing.stdout).toMatch(/^failed last +\S+Z \/a\.scope\/job: .*no route/m);
      const status = expectValid("status", (await ask(daemon, "status", "--json")).stdout);
      expect(status).toMatchObject({
        state: "degraded",
        accounting: { waitingCgroups: 1 },
        script: { lastFailure: { cgroup: "/a.scope/job" } },
      });
      const { script } = status as { script: { oldestWaitingMs: number } };
      expect(script.oldestWaitingMs).toBeGreaterThanOrEqual(before - 1000);
      expect(script.oldestWaitingMs).toBeLessThanOrEqual(Date.now());
      const { stdout } = await ask(daemon, "accounting", "list", "--json");
      expectValid("accounting-list", stdout);
      writeFileSync(daemon.configFile, "[accounting");
      const atDefault = await askAtDefault(daemon, "accounting", "list", "--json");
      // The handler may have been called again in between.
      const withoutAttempts = (json: string) => json.replace(/"attempts":\d+/, "");
      expect({ ...atDefault, stdout: withoutAttempts(atDefault.stdout) }).toEqual({
        status: 0,
        stdout: withoutAttempts(stdout),
        stderr: expect.stringMatching(/^cm4all-spawn: warning: .*spawn\.toml:1: /),
      });
    });

    it("shell completion offers the numbers of records", async () => {
      host = new AccountingHost();
      host.writeScript("function (");
      await host.start();
      const { daemon } = host;
      for (const name of ["a", "b"]) await host.scratch.runToEnd(`a.scope/${name}`, "true");
      await untilStatus(daemon, "2 waiting");
      const list = JSON.parse((await ask(daemon, "accounting", "list", "--json")).stdout);
      const numbers = list.map(({ number }: { readonly number: number }) => number);
      await run(COMPLETION, "cm4all-spawn", BUNDLE, host.directory);
      const program = `'${process.execPath}' '${BUNDLE}' --control '${daemon.controlSocket}'`;
      for (const command of ["show", "retry", "drop"]) {
        const script = `cm4all-spawn() { ${program} "$@"; }; source '${host.directory}/cm4all-spawn'
          COMP_WORDS=(cm4all-spawn accounting ${command} '') COMP_CWORD=3; _cm4all_spawn
          echo "\${COMPREPLY[@]}"`;
        const offered = (await execute("bash", "-c", script)).stdout.split(" ");
        expect(offered.slice(0, 2).map(Number)).toEqual(numbers);
      }
    });

    it("a script with a mistake makes the reload fail, and a changed script is reported", async () => {
      host = new AccountingHost();
      host.writeScript("function cgroup_released(c) end");
      await host.start();
      const { daemon } = host;
      await daemon.untilLogged("accounting with");
      host.writeScript("function cgroup_released(c) print(1) end");
      expect((await ask(daemon, "reload")).stdout).toContain(
        "only a restart loads the changed script",
      );
      const other = join(host.directory, "other.lua");
      writeFileSync(other, "\nerror('boom')");
      host.configure(`script = "${other}"\nuser = "root"\n`);
      const failed = await ask(daemon, "reload");
      expect(failed).toMatchObject({ status: 78, stderr: expect.stringContaining(":2: boom") });
      expect((await ask(daemon, "status")).stdout).toMatch(
        /^degraded: the accounting script is not running: .*:2: boom/,
      );
      writeFileSync(other, "function cgroup_released(c) end");
      expect((await ask(daemon, "reload")).status).toBe(0);
      expect((await ask(daemon, "status")).status).toBe(0);
    });

    it("a script in another file does not count as changed", async () => {
      host = new AccountingHost();
      host.writeScript("function cgroup_released(c) end");
      await host.start();
      const { daemon } = host;
      await daemon.untilLogged("accounting with");
      const other = join(host.directory, "other.lua");
      writeFileSync(other, "function cgroup_released(c) end");
      utimesSync(other, 1, 1);
      host.configure(`script = "${other}"\nuser = "root"\n`);
      expect((await ask(daemon, "reload")).stdout).toBe("reloaded the configuration\n");
      expect(daemon.log).not.toContain("changed script");
      utimesSync(other, 2, 2);
      expect((await ask(daemon, "reload")).stdout).toContain("changed script");
    });

    it("a script that hangs while it loads makes the reload fail", async () => {
      host = new AccountingHost();
      host.writeScript("function cgroup_released(c) end");
      await host.start();
      const { daemon } = host;
      await daemon.untilLogged("accounting with");
      const other = join(host.directory, "other.lua");
      writeFileSync(other, 'os.execute("exec sleep 15")');
      host.configure(`script = "${other}"\nuser = "root"\nanswer_seconds = 60\n`);
      const failed = await ask(daemon, "reload");
      expect(failed).toMatchObject({
        status: 78,
        stderr: expect.stringContaining("cannot be used: it is still not loaded after 10 s"),
      });
      await daemon.untilLogged("the script is still not loaded after 10 s");
    });

    async function untilStatus(daemon: TestDaemon, text: string): Promise<Result> {
      let result: Result | undefined;
      await until(async () => {
        result = await ask(daemon, "status");
        return result.stdout.includes(text);
      }, `the status has ${text}`);
      if (result === undefined) throw new Error("no status");
      return result;
    }
  },
);
