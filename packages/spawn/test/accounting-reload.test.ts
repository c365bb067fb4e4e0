/** Reloads the daemon while cgroups wait: none is lost, and one script host is left. */
import { once } from "node:events";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer, type Socket } from "node:net";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import { PrivateEtc } from "./support/etc.ts";

/** A database server that accepts connections and never answers; `stop` closes the connections. */
class SilentServer implements AsyncDisposable {
  readonly #sockets: Socket[] = [];
  readonly #server = createServer((socket) => {
    this.#sockets.push(socket.on("error", () => undefined));
  });

  static async start(directory: string): Promise<SilentServer> {
    const silent = new SilentServer();
    const path = join(directory, ".s.PGSQL.5432");
    await once(silent.#server.listen(path), "listening");
    // The script may run as another user.
    chmodSync(path, 0o777);
    return silent;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)("a reload", () => {
  let host: AccountingHost;
  let etc: PrivateEtc;
  beforeEach(() => {
    host = new AccountingHost();
    etc = new PrivateEtc();
  });
  afterEach(async () => {
    await host.stop();
    etc.remove();
  });

  /**
   * Writes a script that outputs its own name and each cgroup's path.
   * @returns the path of the script
   */
  function script(name: string, body = ""): string {
    const path = join(host.directory, `${name}.lua`);
    writeFileSync(
      path,
      `function cgroup_released(cgroup)
        ${body}
        local f = assert(io.open("${host.directory}/output", "a"))
        f:write("${name} ", cgroup.path, "\\n") f:close()
      end`,
    );
    return path;
  }

  /**
   * Writes a script whose handler never ends, unless there is a file "go".
   * @returns the path of the script
   */
  function slowScript(name: string): string {
    return script(
      name,
      `local f = io.open("${host.directory}/go")
       if f then f:close() else coroutine.yield() end`,
    );
  }

  /**
   * Writes a script whose handler waits until the SilentServer is stopped.
   * @returns the path of the script
   */
  function askingScript(name: string): string {
    return script(
      name,
      `local db = pg:new("host=${host.directory} dbname=x") db:execute("SELECT 1")`,
    );
  }

  function makeEmpty(count: number): void {
    for (let i = 0; i < count; i++) host.scratch.make(`a.scope/${i}`);
  }

  const accounted = () =>
    host.said
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[1]);

  async function untilAccounted(count: number): Promise<void> {
    await until(
      async () => (await host.accounting()).accountedCgroups === count,
      `${count} are accounted`,
    );
  }

  async function untilOneHost(): Promise<void> {
    await until(() => host.scriptHostPids.length === 1, "one script host is left");
    await sleep(1000);
    expect(host.scriptHostPids).toHaveLength(1);
  }

  it.each([
    ["through a file", "/etc/passwd/x.lua"],
    ["through a link to itself", "loop/x.lua"],
  ])("ends the wait for a script whose path leads %s", async (_, name) => {
    symlinkSync("loop", join(host.directory, "loop"));
    await host.startWith(`script = "${resolve(host.directory, name)}"\n`);
    const { pid } = host.daemon;
    makeEmpty(1);
    await until(async () => (await host.reaping()).script.problem !== undefined, "it is reported");
    await until(async () => (await host.accounting()).waitingCgroups === 1, "the cgroup waits");
    host.reload(`script = "${script("well")}"\n`);
    await untilAccounted(1);
    expect(host.daemon.pid).toBe(pid);
    expect(host.daemon.child.exitCode).toBeNull();
  });

  it("with another script hands that script the cgroups that wait behind slow handlers", async () => {
    await using server = await SilentServer.start(host.directory);
    makeEmpty(500);
    await host.startWith(
      `script = "${askingScript("slow")}"\nmax_running = 10\nhandler_seconds = 600\n`,
    );
    await until(async () => (await host.accounting()).waitingCgroups === 500, "all wait");
    await until(async () => (await host.accounting()).runningHandlers === 10, "handlers run");
    host.reload(`script = "${script("fast")}"\nhandler_seconds = 2\n`);
    await until(
      async () => (await host.accounting()).accountedCgroups >= 490,
      "the new one has its share",
    );
    expect(await host.accounting()).toMatchObject({
      lostCgroups: 0,
      failedHandlers: 0,
      waitingCgroups: 10,
    });
    // Another change does not interrupt the handlers, which continue in the slow script.
    host.reload(`script = "${script("faster")}"\n`);
    await until(() => host.daemon.log.includes("faster.lua in"), "the newest script is loaded");
    await server.stop();
    await until(async () => (await host.accounting()).waitingCgroups === 0, "all are accounted");
    expect(new Set(accounted()).size).toBe(500);
    expect(host.said.match(/^slow /gm)).toHaveLength(10);
    expect(await host.accounting()).toMatchObject({
      accountedCgroups: 500,
      lostCgroups: 0,
      parkedCgroups: 0,
    });
    await untilOneHost();
  });

  it("with another script, which loads slowly, accounts cgroups that become empty meanwhile", async () => {
    await host.startWith(`script = "${script("old")}"\n`);
    await host.untilReady();
    const path = script("new");
    const loading = join(host.directory, "loading");
    const text = readFileSync(path, "latin1");
    writeFileSync(
      path,
      `io.open("${loading}", "w"):close()
       local t = os.clock() while os.clock() - t < 1 do end ${text}`,
    );
    host.reload(`script = "${path}"\n`);
    await until(() => existsSync(loading), "the new one is loaded");
    const names = Array.from({ length: 5 }, (_, i) => `a.scope/meanwhile-${i}`);
    await Promise.all(names.map((name) => host.scratch.runToEnd(name)));
    await untilAccounted(5);
    expect(accounted().toSorted()).toEqual(names.map((name) => `/${name}`));
    expect(await host.accounting()).toMatchObject({ unaccountedCgroups: 0, failedHandlers: 0 });
    await untilOneHost();
  });

  it("lets running handlers finish in the old script", async () => {
    await host.startWith(
      `script = "${script("old", "local t = os.clock() while os.clock() - t < 0.5 do end")}"\n`,
    );
    await host.untilReady();
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).runningHandlers === 1, "its handler runs");
    host.reload(`script = "${script("new")}"\n`);
    await untilAccounted(1);
    expect(host.said).toBe("old /a.scope/job\n");
    await host.scratch.runToEnd("a.scope/job");
    await untilAccounted(2);
    expect(host.said).toBe("old /a.scope/job\nnew /a.scope/job\n");
    expect(await host.accounting()).toMatchObject({ accountedCgroups: 2, failedHandlers: 0 });
    await untilOneHost();
  });

  it("that configures no script keeps the records that wait, and deletes cgroups that become empty later", async () => {
    makeEmpty(100);
    await host.startWith(`script = "${slowScript("slow")}"\nmax_running = 10\n`, {
      wrapper: etc.wrapper,
    });
    await until(async () => (await host.accounting()).runningHandlers === 10, "handlers run");
    await until(async () => (await host.accounting()).waitingCgroups === 100, "all wait");
    host.reload("");
    await host.daemon.untilLogged("100 cgroups are waiting until there is a handler");
    await host.scratch.runToEnd("a.scope/later");
    await host.untilDeleted("a.scope/later");
    for (let i = 0; i < 100; i++) await host.untilDeleted(`a.scope/${i}`);
    await host.daemon.untilLogged("there is no handler: cgroups are logged and deleted");
    expect(await host.accounting()).toMatchObject({
      script: "idle",
      waitingCgroups: 100,
      lostCgroups: 0,
    });
    // The records still wait for a handler after a restart.
    await host.crash();
    await host.startWith("", { wrapper: etc.wrapper });
    await host.daemon.untilLogged("100 cgroups are waiting until there is a handler");
    host.reload(`script = "${script("again")}"\n`);
    await until(async () => (await host.accounting()).waitingCgroups === 0, "all are accounted");
    expect(new Set(accounted()).size).toBe(100);
    expect((await host.accounting()).lostCgroups).toBe(0);
    await untilOneHost();
  });

  it.each([
    ["a loop of links", (path: string) => symlinkSync("accounting.lua", path), "ELOOP"],
    ["a directory", (path: string) => mkdirSync(path), "/"],
    ["a link that leads nowhere", (path: string) => symlinkSync("gone", path), "ENOENT"],
    [
      "below a file",
      (path: string) => {
        rmSync(dirname(path), { recursive: true });
        writeFileSync(dirname(path), "");
      },
      "ENOTDIR",
    ],
    [
      "below a link that leads nowhere",
      (path: string) => {
        rmSync(dirname(path), { recursive: true });
        symlinkSync("gone", dirname(path));
      },
      "ENOENT",
    ],
  ])("reads a script that could not be read before: %s", async (_, make, errno) => {
    const path = join(etc.scripts, "accounting.lua");
    make(path);
    host.scratch.make("a.scope/left");
    await host.startWith("", { wrapper: etc.wrapper });
    await host.daemon.untilLogged(
      `cgroups wait until the script can be read and is reloaded: ${errno}`,
    );
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).waitingCgroups === 2, "both wait");
    expect((await host.accounting()).script).toBe("down");
    rmSync(etc.scripts, { recursive: true });
    mkdirSync(etc.scripts);
    symlinkSync(script("default"), path);
    host.reload("");
    await untilAccounted(2);
    expect(accounted().toSorted()).toEqual(["/a.scope/job", "/a.scope/left"]);
    rmSync(path);
    make(path);
    host.reload("");
    await until(async () => (await host.accounting()).script === "down", "it is seen");
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).waitingCgroups === 1, "it waits");
  });

  it("leaves one script host, even after many other reloads", async () => {
    const paths = [script("a"), script("b"), script("c")];
    const use = (i: number) => host.reload(`script = "${paths[i % 3]}"\n`);
    await host.startWith(`script = "${paths[0]}"\n`);
    await host.untilReady();
    use(1);
    await sleep(40);
    use(2);
    await untilOneHost();
    for (let i = 0; i < 20; i++) {
      use(i);
      await sleep(20);
    }
    await untilOneHost();
    await host.untilReady();
    await host.scratch.runToEnd("a.scope/job");
    await untilAccounted(1);
    // The last reload was use(19).
    expect(host.said).toBe("b /a.scope/job\n");
    expect(await host.accounting()).toMatchObject({
      accountedCgroups: 1,
      lostCgroups: 0,
      failedHandlers: 0,
    });
  });

  it("that configures an unusable script keeps the records that wait", async () => {
    await host.startWith(`script = "${script("good")}"\n`);
    await host.untilReady();
    host.reload('script = "/nonexistent/x.lua"\n');
    await host.daemon.untilLogged("cgroups wait until the script is usable and reloaded:");
    await host.scratch.runToEnd("a.scope/job");
    await until(async () => (await host.accounting()).waitingCgroups === 1, "it waits");
    host.reload(`script = "${script("good")}"\n`);
    await untilAccounted(1);
    expect(host.said).toBe("good /a.scope/job\n");
    await untilOneHost();
  });

  it("applies the whole section [accounting]", async () => {
    await using server = await SilentServer.start(host.directory);
    const path = askingScript("slow");
    makeEmpty(60);
    await host.startWith(`script = "${path}"\nmax_running = 2\nhandler_seconds = 600\n`);
    await until(async () => (await host.accounting()).runningHandlers === 2, "two run");
    host.reload(`script = "${path}"\nmax_running = 50\nhandler_seconds = 500\njournal_mib = 32\n`);
    // Two handlers continue in the previous script host.
    await until(
      async () => (await host.accounting()).runningHandlers === 52,
      "as many run as are allowed to",
    );
    expect(await host.accounting()).toMatchObject({
      runningHandlersLimit: 50,
      failedHandlers: 0,
      journalLimitBytes: 32 * 2 ** 20,
    });
    await server.stop();
    await untilAccounted(60);
    expect(host.daemon.log).not.toContain("no room");
    expect(await host.accounting()).toMatchObject({
      failedHandlers: 0,
      lostCgroups: 0,
      parkedCgroups: 0,
    });
  });
});
