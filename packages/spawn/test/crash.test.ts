/** Ends the daemon at arbitrary moments. */
import { existsSync, readdirSync, readFileSync, renameSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { MSG_DONTWAIT, MSG_PEEK } from "@cm4all/linux";
import { commandLine, missing, ScratchCgroup } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { askDaemon } from "../src/control/server.ts";
import { inodeOf, request, TestClient } from "./support/client.ts";
import { storeThread, TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { seededRandom } from "./support/random.ts";

const ALL = { ipc: true, pid: true, user: { uidMap: "0 1000 1" }, lease: true };

/** The number of repetitions. */
const LIVES = process.env["TORTURE"] === "all" ? 8 : 1;
/** How many times the daemon is killed during requests; every third time, also during a start. */
const ROUNDS = 20;
const REQUESTS = 60;

type Inodes = Record<"ipc" | "pid" | "user", number>;

/** Returns the names of the inits in a cgroup, sorted. */
function initsOf(cgroup: ScratchCgroup): string[] {
  const pids = readFileSync(`${cgroup.path}/cgroup.procs`, "utf8").split("\n").filter(Boolean);
  const titles = pids.map((pid) => commandLine(Number(pid))[0]);
  return titles
    .flatMap((title) => (title?.startsWith("init ") === true ? [title.slice(5)] : []))
    .sort();
}

/** Returns true if an answer has arrived, and leaves it in the socket. */
function hasAnswer(client: TestClient): boolean {
  const answer = client.tryReceive(MSG_PEEK | MSG_DONTWAIT);
  if (answer?.kind === "handles") answer.answer[Symbol.dispose]();
  return answer !== undefined;
}

describe.skipIf(missing("root", "catatonit") !== undefined)("a daemon that starts", () => {
  it("without a usable control socket serves clients, and creates the socket once that is possible", async () => {
    const other = await TestDaemon.start();
    onTestFinished(() => other.stop());
    const places = [
      `${other.directory}/spawn.toml`,
      other.controlSocket,
      other.directory,
      // mkdir(2) fails here with ENOENT, although the parent directory exists.
      "/proc/nothing/control.sock",
    ];
    for (const control of places) {
      const daemon = await TestDaemon.start({ options: ["--control", control] });
      using client = daemon.connect();
      client.inodes("name", { ipc: true });
      await until(() => daemon.log.includes(`cannot listen on ${control}: `), "it is logged");
      if (control === places[0]) {
        renameSync(control, `${control}.away`);
        await until(() => existsSync(control), "it listens");
        const answer = await askDaemon(control, { command: "status" });
        expect(answer).toMatchObject({ pid: daemon.pid, namespace: { names: 1 } });
        renameSync(`${control}.away`, control);
      }
      expect(daemon.log.match(/cannot listen/g)).toHaveLength(1);
      await daemon.stop();
    }
    expect((await other.status()).names).toBe(0);
  });

  it("with a NOTIFY_SOCKET that it cannot reach says so in one line", async () => {
    const daemon = await TestDaemon.start({ env: { NOTIFY_SOCKET: "/nowhere/notify" } });
    await daemon.untilLogged(
      /^\S+ cannot reach the service manager at \/nowhere\/notify, going on without it: .*\n/,
    );
    await daemon.stop();
    expect(daemon.log).not.toMatch(/(?:\n| \|) *at /);
  });
});

describe.skipIf(missing("root", "catatonit", "cgroup2") !== undefined)(
  "a daemon that is ended",
  () => {
    it.each(Array.from({ length: LIVES }, (_, i) => 9 + i))(
      "by SIGKILL at any time loses no namespace that a client was sent, and no init (seed %s)",
      { timeout: 300_000 },
      async (seed) => {
        const manager = new FakeManager();
        const cgroup = new ScratchCgroup();
        let kills = 0;
        const options = { cgroupProcs: `${cgroup.path}/cgroup.procs` };
        let daemon = await manager.start(options);
        onTestFinished(async () => {
          await daemon.stop();
          await manager.close();
          await cgroup.remove();
        });
        const random = seededRandom(seed);
        const answered = new Map<string, Inodes>();
        for (let round = 0; round < ROUNDS; round++) {
          const client = new TestClient(manager.address);
          const names = Array.from({ length: REQUESTS }, (_, i) => `${round}-${i}`);
          for (const name of names) client.send(request(name, ALL));
          // In even rounds, the kill follows the first answer; in odd rounds, the daemon may have
          // read nothing yet.
          if (round % 2 === 0) await until(() => hasAnswer(client), "there is an answer");
          await sleep(random() * 100);
          await daemon.end("SIGKILL");
          kills++;
          // If the daemon left data unread, the first call gets ECONNRESET; answers come after it.
          hasAnswer(client);
          for (const name of names) {
            const answer = client.tryReceive(MSG_DONTWAIT);
            if (answer?.kind !== "handles") break;
            using handles = answer.answer;
            const { ipc, pid, user } = handles;
            answered.set(name, { ipc: inodeOf(ipc), pid: inodeOf(pid), user: inodeOf(user) });
          }
          client[Symbol.dispose]();
          daemon = manager.spawn(options);
          if (round % 3 === 0) {
            // The daemon is also killed at a random moment of its start.
            await sleep(random() * 300);
            await daemon.end("SIGKILL");
            kills++;
            daemon = manager.spawn(options);
          }
        }
        await daemon.end("SIGKILL");
        daemon = await manager.start(options);
        console.log(
          `${kills} kills, ${answered.size} of ${ROUNDS * REQUESTS} requests were answered`,
        );
        // In every second round, the daemon has answered before it is killed.
        expect(answered.size).toBeGreaterThan(0);

        const status = await daemon.status();
        expect(status.names).toBe(readdirSync(`${storeThread(daemon)}/root/names`).length);
        expect(initsOf(cgroup).length).toBe(status.kept.pid);
        using client = daemon.connect();
        for (const [name, inodes] of answered)
          expect(client.inodes(name, { ...ALL, lease: false })).toEqual(inodes);
        // No namespace was created to answer these requests.
        expect((await daemon.status()).kept.pid).toBe(status.kept.pid);
        await daemon.control({ command: "purge-namespaces", onlyIdle: false });
        await until(() => initsOf(cgroup).length === 0, "no init is left");
      },
    );

    it("by SIGTERM during its start does not crash", { timeout: 60_000 }, async () => {
      for (let delayMs = 0; delayMs < 300; delayMs += 20) {
        const daemon = new TestDaemon();
        await sleep(delayMs);
        const status = await daemon.end("SIGTERM");
        expect([0, "SIGTERM"]).toContain(status);
        expect(daemon.log).not.toMatch(/crashed|takes too long/);
      }
    });
  },
);
