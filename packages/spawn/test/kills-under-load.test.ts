/**
 * Kills the daemon over and over while clients send requests without a pause, and compares each
 * answer with earlier answers. There are nine kills, or 210 with `TORTURE=all`, and at least 975
 * answers for each kill.
 */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { isErrno, MSG_DONTWAIT } from "@cm4all/linux";
import { commandLine, missing, ScratchCgroup } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { inodeOf, type Raw, request, TestClient, type Wanted } from "./support/client.ts";
import { until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { seededRandom } from "./support/random.ts";

const isTorture = process.env["TORTURE"] === "all";
const KILLS = isTorture ? 210 : 9;
const ANSWERS_BEFORE_KILL = 975;

const CLIENTS = 8;
/** The number of pending requests of a client. */
const WINDOW = 16;
/** The number of names with an init, which are the same in all runs of the daemon. */
const NAMES = 40;
/** The number of names without an init that are new in each run. */
const NEW_NAMES = 10;

const USER = { uidMap: "0 1000 1" };
const WITH_INIT: Wanted = { ipc: true, pid: true, user: USER };
const WITHOUT: Wanted = { ipc: true, user: USER };

/** Compares answers with earlier ones. */
class Answers {
  readonly #inodes = new Map<string, Record<string, number>>();
  readonly #names = new Map<number, string>();
  readonly violations: string[] = [];
  checked = 0;

  get names(): number {
    return this.#inodes.size;
  }

  check(name: string, raw: Raw): void {
    if (raw.kind !== "handles") {
      this.violations.push(`${name}: ${raw.kind === "error" ? raw.message : raw.kind}`);
      return;
    }
    using handles = raw.answer;
    const { ipc, pid, user } = handles;
    const inodes = {
      ipc: inodeOf(ipc),
      user: inodeOf(user),
      ...(pid !== undefined && { pid: inodeOf(pid) }),
    };
    this.checked++;
    const before = this.#inodes.get(name);
    if (before === undefined) this.#first(name, inodes);
    else if (JSON.stringify(before) !== JSON.stringify(inodes))
      this.violations.push(`${name}: ${JSON.stringify(inodes)}, was ${JSON.stringify(before)}`);
  }

  #first(name: string, inodes: Record<string, number>): void {
    this.#inodes.set(name, inodes);
    for (const inode of Object.values(inodes)) {
      const other = this.#names.get(inode);
      if (other !== undefined) this.violations.push(`${name} has a namespace of ${other}`);
      this.#names.set(inode, name);
    }
  }
}

/**
 * Sends requests until `isOver` returns true. Gives up requests that a killed daemon has not
 * answered.
 */
async function ask(
  address: string,
  nextName: () => string,
  answers: Answers,
  isOver: () => boolean,
): Promise<void> {
  while (!isOver()) {
    using client = new TestClient(address);
    const asked: string[] = [];
    for (let isOpen = true; isOpen && !isOver(); ) {
      try {
        while (asked.length < WINDOW) {
          const name = nextName();
          client.send(request(name, name.startsWith("new") ? WITHOUT : WITH_INIT), []);
          asked.push(name);
        }
      } catch (error) {
        if (!isErrno(error, "EPIPE", "ECONNRESET", "ENOTCONN")) throw error;
      }
      // This thread simulates the service manager, so it must not block in a system call.
      await sleep(1);
      for (let raw = client.tryReceive(MSG_DONTWAIT); raw; raw = client.tryReceive(MSG_DONTWAIT)) {
        isOpen = raw.kind !== "closed";
        if (!isOpen) break;
        answers.check(asked.shift() ?? "nothing was asked", raw);
      }
    }
  }
}

const cannotRun = missing("root", "catatonit", "cgroup2") !== undefined;

describe.skipIf(cannotRun)("a daemon that is killed under load", () => {
  it("answers as before", { timeout: isTorture ? 3_600_000 : 180_000 }, async () => {
    const manager = new FakeManager();
    const cgroup = new ScratchCgroup();
    const options = { cgroupProcs: `${cgroup.path}/cgroup.procs` };
    const random = seededRandom(27);
    const answers = new Answers();
    let kills = 0;
    let isOver = false;
    let daemon = await manager.start(options);
    onTestFinished(async () => {
      await daemon.stop();
      await manager.close();
      await cgroup.remove();
    });
    const nextName = () => {
      const i = Math.floor(random() * (NAMES + NEW_NAMES));
      if (i < NAMES) return `${i}`;
      // A name of this run of the daemon or of one of the two runs before it; it may exist already.
      return `new ${Math.max(0, kills - Math.floor(3 * random()))}-${i - NAMES}`;
    };
    const clients = Promise.all(
      Array.from({ length: CLIENTS }, () => ask(manager.address, nextName, answers, () => isOver)),
    );
    // If a client fails, the test fails, but only at its end.
    clients.catch(() => {
      isOver = true;
    });
    while (kills < KILLS && !isOver) {
      const enough = () => isOver || answers.checked >= (kills + 1) * ANSWERS_BEFORE_KILL;
      await until(enough, "there are enough answers", 60_000);
      await sleep(random() * 50);
      await daemon.end("SIGKILL");
      kills++;
      daemon = manager.spawn(options);
    }
    await until(
      async () => (await daemon.status().catch(() => undefined)) !== undefined,
      "it runs",
    );
    isOver = true;
    await clients;
    console.log(`${kills} kills, ${answers.checked} answers for ${answers.names} names`);
    expect(answers.violations).toEqual([]);
    expect(answers.checked).toBeGreaterThanOrEqual(KILLS * ANSWERS_BEFORE_KILL);
    const inits = () =>
      readFileSync(`${cgroup.path}/cgroup.procs`, "utf8")
        .split("\n")
        .filter((pid) => pid !== "" && commandLine(Number(pid))[0]?.startsWith("init ") === true);
    await until(
      async () => inits().length === (await daemon.status()).kept.pid,
      "there is no other init",
    );
    expect(inits().length).toBe(NAMES);
    await daemon.control({ command: "purge-namespaces", onlyIdle: false });
    await until(() => inits().length === 0, "no init is left");
  });
});
