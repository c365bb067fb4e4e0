import { execFileSync, spawn } from "node:child_process";
import { readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { missing, readProc } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import type { DaemonStatus } from "../src/status/status.ts";
import { type Answer, inodeOf } from "./support/client.ts";
import { kill, killGroup, TestDaemon, until } from "./support/daemon.ts";

// The tests are also run with all system calls through ffi-rs instead of the addon.
const engine = process.env["CM4ALL_WITHOUT_ADDON"] === "1" ? "ffi-rs" : "addon";

const cannotRun = missing("root", "catatonit") !== undefined;

/**
 * A program in Perl that enlarges the pipe at its standard output, puts the pipe into packet mode,
 * and fills it with 256 packets of one byte. 1031 is F_SETPIPE_SZ.
 */
const FILL_WITH_PACKETS = `use Fcntl; fcntl(STDOUT, 1031, 1 << 20) or die;
  fcntl(STDOUT, F_SETFL, O_WRONLY | O_DIRECT | O_NONBLOCK) or die;
  while (syswrite(STDOUT, "x")) { $count++ }
  die unless $count == 256;`;

/** Runs a shell command inside the namespaces of an answer. */
function inside(answer: Answer, script: string): string {
  const fds = [answer.ipc, answer.pid, answer.user].flatMap((fd) =>
    fd === undefined ? [] : [fd.number],
  );
  const flags: string[] = [];
  let next = 3;
  if (answer.ipc) flags.push(`--ipc=/proc/self/fd/${next++}`);
  if (answer.pid) flags.push(`--pid=/proc/self/fd/${next++}`);
  if (answer.user) flags.push(`--user=/proc/self/fd/${next++}`);
  return execFileSync("nsenter", [...flags, "sh", "-c", script], {
    stdio: ["ignore", "pipe", "inherit", ...fds],
    encoding: "utf8",
  });
}

describe.skipIf(cannotRun)("requests", () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await TestDaemon.start();
  });
  afterAll(() => daemon.stop());

  it.skipIf(missing("gcc") !== undefined)(`are answered through ${engine}`, async () => {
    const status = (await daemon.control({ command: "status" })) as DaemonStatus;
    expect(status.systemCalls).toBe(engine);
  });

  it("give the same namespace for the same name, and different ones for different names", () => {
    using one = daemon.connect();
    using two = daemon.connect();
    const wanted = { ipc: true, pid: true, user: { uidMap: "0 1000 1" } };
    const first = one.inodes("same", wanted);
    expect(two.inodes("same", wanted)).toEqual(first);
    const other = one.inodes("other", wanted);
    for (const type of ["ipc", "pid", "user"] as const) {
      expect(first[type]).toBeGreaterThan(0);
      expect(other[type]).not.toBe(first[type]);
    }
  });

  it("keep a user namespace for each pair of maps", () => {
    using client = daemon.connect();
    const ask = (user: { uidMap?: string; gidMap?: string }) =>
      client.inodes("payloads", { user }).user;
    const inodes = [
      ask({}),
      ask({ uidMap: "0 1000 1" }),
      ask({ gidMap: "0 1000 1" }),
      ask({ uidMap: "0 1000 1", gidMap: "0 1000 1" }),
    ];
    expect(new Set(inodes).size).toBe(4);
    expect(ask({ uidMap: "0 1000 1" })).toBe(inodes[1]);
  });

  it("are answered with descriptors in the order IPC, PID, USER, lease", () => {
    using client = daemon.connect();
    using answer = client.ask("order", { ipc: true, pid: true, user: {}, lease: true });
    const link = (fd: Answer["ipc"]) => readlinkSync(`/proc/self/fd/${fd?.number}`);
    expect(inodeOf(answer.ipc)).not.toBe(inodeOf(answer.pid));
    expect(
      inside({ ...answer, pid: undefined, user: undefined }, "readlink /proc/self/ns/ipc"),
    ).toBe(`ipc:[${inodeOf(answer.ipc)}]\n`);
    expect(link(answer.lease)).toMatch(/lease$/);
  });

  it("give a PID namespace whose PID 1 is the init", async () => {
    using client = daemon.connect();
    using answer = client.ask("place", { pid: true });
    const script = "exec unshare --mount --mount-proc ps -e -o pid=,args=";
    // The answer may come before the init has executed catatonit with this command line.
    const shown = /^ +1 init place -P$/m;
    await until(() => shown.test(inside(answer, script)), "PID 1 is the init");
  });

  it("give an IPC namespace whose objects are visible inside it, and not outside", () => {
    using client = daemon.connect();
    using answer = client.ask("objects", { ipc: true });
    const made = /\d+/.exec(inside(answer, "ipcmk -S 1"))?.[0];
    expect(inside(answer, "ipcs -s")).toContain(` ${made} `);
    expect(execFileSync("ipcs", ["-s"], { encoding: "utf8" })).not.toContain(` ${made} `);
  });

  it("give a user namespace with the requested maps", () => {
    using client = daemon.connect();
    using answer = client.ask("maps", { user: { uidMap: "0 1000 10\n", gidMap: "0 2000 20\n" } });
    const text = inside(answer, "cat /proc/self/uid_map /proc/self/gid_map");
    expect(text.trim().split(/\s+/).map(Number)).toEqual([0, 1000, 10, 0, 2000, 20]);
  });

  it("are answered one after the other over one connection", () => {
    using client = daemon.connect();
    const inodes = Array.from(
      { length: 50 },
      (_, i) => client.inodes(`many-${i}`, { ipc: true }).ipc,
    );
    expect(new Set(inodes).size).toBe(50);
  });

  it("start inits without descriptors, capabilities or ignored signals", async () => {
    // As with AmbientCapabilities= in a drop-in.
    const capabilities = "+sys_admin,+net_raw";
    const inherited = ["--inh-caps", capabilities, "--ambient-caps", capabilities];
    const privileged = await TestDaemon.start({ wrapper: ["setpriv", ...inherited, "--"] });
    onTestFinished(() => privileged.stop());
    using client = privileged.connect();
    client.inodes("powerless", { pid: true });
    const isNamed = (child: number) => readProc(child, "cmdline") === "init powerless\0-P\0";
    await until(() => privileged.childPids().some(isNamed), "the init shows its name");
    const pid = privileged.childPids().find(isNamed);
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      expect(status).toMatch(new RegExp(`^${set}:\\t0+$`, "m"));
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
    // catatonit itself blocks signals to wait for them; no signal is ignored.
    expect(status).toMatch(/^SigIgn:\t0+$/m);
    const links = execFileSync("ls", ["-l", `/proc/${pid}/fd`], { encoding: "utf8" });
    expect(links).not.toMatch(/socket|eventpoll|pipe/);
    expect(readFileSync(`/proc/${pid}/environ`, "utf8")).toBe("");
    // The init has the daemon's root directory, not the store's, because root in the namespace can
    // look into the init's root directory through /proc/1/root.
    const rootOf = (process: number | undefined) => {
      const { dev, ino } = statSync(`/proc/${process}/root/`);
      return { dev, ino };
    };
    expect(rootOf(pid)).toEqual(rootOf(privileged.pid));
  });

  it("start an init that reaps the zombies of its PID namespace", async () => {
    using client = daemon.connect();
    using answer = client.ask("zombies", { pid: true });
    // `sleep` outlives the inner shell, and the init becomes its parent.
    inside(answer, "sh -c 'sleep 0.1 &'");
    const namespace = `pid:[${inodeOf(answer.pid)}]`;
    const members = () =>
      execFileSync("ps", ["-e", "-o", "pidns=,stat=,comm="], { encoding: "utf8" })
        .split("\n")
        .filter((line) => line.trim().startsWith(namespace.slice(5, -1)));
    await until(() => members().length === 1, "the init is alone again");
  });

  it("make a new namespace after the init was killed, and leak nothing", async () => {
    using client = daemon.connect();
    // Held open, because the inode number of a namespace that is gone may be reused.
    using first = client.ask("killed", { pid: true, ipc: true });
    const before = await daemon.restingDescriptorCount();
    const isNamed = (child: number) => readProc(child, "cmdline").includes("killed");
    await until(() => daemon.childPids().some(isNamed), "the init shows its name");
    const pid = daemon.childPids().find(isNamed);
    kill(pid);
    await until(() => pid === undefined || !daemon.childPids().includes(pid), "the init is reaped");
    await daemon.untilLogged("the init of killed ended");
    const second = client.inodes("killed", { pid: true, ipc: true });
    expect(second.pid).not.toBe(inodeOf(first.pid));
    expect(second.ipc).toBe(inodeOf(first.ipc));
    expect(await daemon.restingDescriptorCount()).toBe(before);
  });

  it("leave nothing half-made when the kernel refuses a map", async () => {
    using client = daemon.connect();
    const names = (await daemon.status()).names;
    const ask = () => client.ask("refused", { ipc: true, pid: true, user: { uidMap: "rubbish" } });
    const children = daemon.childPids().length;
    expect(ask).toThrow(/^write\(file="uid_map", map="rubbish"\): EINVAL/);
    await until(() => daemon.childPids().length === children, "the init is gone");
    expect((await daemon.status()).names).toBe(names);
    // The connection and the name still work.
    client.inodes("refused", { ipc: true });
  });
});

describe.skipIf(cannotRun)("leases and expiry", () => {
  let daemon: TestDaemon;
  beforeAll(async () => {
    daemon = await TestDaemon.start({ config: "[namespaces]\nexpire_seconds = 0.4\n" });
  });
  afterAll(() => daemon.stop());

  it("end a name some time after its last request", async () => {
    using client = daemon.connect();
    using first = client.ask("short", { ipc: true, pid: true, user: {} });
    const children = daemon.childPids();
    expect(children.length).toBe(1);
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
    await until(() => daemon.childPids().length === 0, "its init has ended");
    expect(client.inodes("short", { pid: true }).pid).not.toBe(inodeOf(first.pid));
  });

  it("follow a reload of the configuration", async () => {
    await until(async () => (await daemon.status()).names === 0, "nothing is left");
    const config = join(daemon.directory, "spawn.toml");
    const text = readFileSync(config, "utf8");
    writeFileSync(config, "[namespaces]\nexpire_seconds = 1000\n");
    const reload = async () => {
      const count = daemon.log.split("reloaded").length;
      daemon.child.kill("SIGHUP");
      await until(() => daemon.log.split("reloaded").length > count, "it is reloaded");
    };
    await reload();
    using client = daemon.connect();
    client.inodes("reloaded", { ipc: true });
    await sleep(1000);
    expect((await daemon.status()).names).toBe(1);
    writeFileSync(config, "[namespaces]\nexpire_seconds = wrong\n");
    daemon.child.kill("SIGHUP");
    await daemon.untilLogged(`keeping the old configuration: ${config}:2: `);
    expect(daemon.log).not.toContain("only a restart applies");
    writeFileSync(config, `${text}\n[reaper]\ncheck_seconds = 17\n`);
    await reload();
    await daemon.untilLogged(
      "reloaded the configuration; only a restart applies reaper.check_seconds\n",
    );
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
  });

  it("keep a name while there are requests now and then", async () => {
    using client = daemon.connect();
    const first = client.inodes("used", { ipc: true });
    for (let i = 0; i < 10; i++) {
      await sleep(100);
      expect(client.inodes("used", { ipc: true })).toEqual(first);
    }
  });

  it("keep a name while one of its leases is open, even if data is written to the lease", async () => {
    using client = daemon.connect();
    const one = client.ask("leased", { ipc: true, lease: true });
    const two = client.ask("leased", { lease: true });
    const inode = inodeOf(one.ipc);
    execFileSync("sh", ["-c", "echo unasked >&3"], {
      stdio: ["ignore", "inherit", "inherit", two.lease?.number],
    });
    one[Symbol.dispose]();
    await sleep(1000);
    expect(client.inodes("leased", { ipc: true }).ipc).toBe(inode);
    await sleep(1000);
    expect((await daemon.status()).leasedNames).toBe(1);
    two[Symbol.dispose]();
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
  });

  it("end a name after its last lease, even if that lease is full of packets", async () => {
    using client = daemon.connect();
    const lease = client.ask("packets", { ipc: true, lease: true });
    execFileSync("perl", ["-e", FILL_WITH_PACKETS], {
      stdio: ["ignore", lease.lease?.number, "inherit"],
    });
    expect((await daemon.status()).leasedNames).toBe(1);
    lease[Symbol.dispose]();
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
  });

  it("notice the end of the last lease each time that a name is leased again", async () => {
    using client = daemon.connect();
    const leased = async () => (await daemon.status()).leasedNames;
    for (let i = 0; i < 5; i++) {
      const first = client.ask("again", { ipc: true, lease: true });
      const second = client.ask("again", { lease: true });
      first[Symbol.dispose]();
      // The next lease may be given out before the daemon notices the end of the first one.
      const third = client.ask("again", { lease: true });
      second[Symbol.dispose]();
      expect(await leased()).toBe(1);
      third[Symbol.dispose]();
      await until(async () => (await leased()) === 0, "the last lease is gone");
    }
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
  });

  it("spare a name while a process lives in its PID namespace or in one nested in it", async () => {
    using client = daemon.connect();
    for (const [name, command] of [
      ["entered", ["sleep", "100"]],
      ["nested", ["unshare", "--fork", "--pid", "--kill-child", "sleep", "100"]],
    ] as const) {
      // The lease keeps the name while the program starts.
      const answer = client.ask(name, { pid: true, lease: true });
      const inode = inodeOf(answer.pid);
      const child = spawn("nsenter", ["--pid=/proc/self/fd/3", ...command], {
        stdio: ["ignore", "inherit", "inherit", answer.pid?.number],
        detached: true,
      });
      await until(() => hasChildren(child.pid), "the program is inside");
      answer[Symbol.dispose]();
      const spared = (await daemon.status()).sparedNames;
      await until(async () => (await daemon.status()).sparedNames > spared + 1, "it was spared");
      expect(client.inodes(name, { pid: true }).pid).toBe(inode);
      // Kills nsenter and everything below it.
      killGroup(child);
      await until(async () => (await daemon.status()).names === 0, "the name has expired");
    }
  });

  it("check a spared name again after expire_seconds, not immediately", async () => {
    using client = daemon.connect();
    using answer = client.ask("spared", { pid: true });
    const child = spawn("nsenter", ["--pid=/proc/self/fd/3", "sleep", "100"], {
      stdio: ["ignore", "inherit", "inherit", answer.pid?.number],
      detached: true,
    });
    await until(() => hasChildren(child.pid), "the program is inside");
    const startMs = performance.now();
    const { sparedNames } = await daemon.status();
    const count = async () => (await daemon.status()).sparedNames - sparedNames;
    await until(async () => (await count()) >= 4, "it was spared several times");
    // The clock is read last, so a busy machine can only make the limit higher, never lower.
    expect(await count()).toBeLessThanOrEqual(1 + (performance.now() - startMs) / 400);
    killGroup(child);
    await until(async () => (await daemon.status()).names === 0, "the name has expired");
  });
});

function hasChildren(pid: number | undefined): boolean {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8") !== "";
}
