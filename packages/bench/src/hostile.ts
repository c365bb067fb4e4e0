/**
 * Measures how long a spawner waits while users without rights attack, compared with the floor
 * under the same attack in the same run. The attackers are processes of several users, limited in
 * number and time, on this machine's loopback only.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@cm4all/testing";
import { note } from "./goals.ts";
import { AS_SPAWNER } from "./nsbench.ts";
import { compile, type RunningServer, startDaemon, startFloor } from "./programs.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The maximum ratio of a spawner's wait to that with the floor. */
const GOAL = 3;

/**
 * The number of times that each attack is made, on ours and on the floor in turn: on a busy
 * machine, a single measurement means little.
 */
const ROUNDS = 7;

/**
 * An attack is measured twice: in the second in which it begins, when all attackers connect at
 * once, and in the next one. Seconds.
 */
const SECONDS = 1;

/** The number of rounds, of two seconds each, before the first attack. */
const START_ROUNDS = 3;

/** The maximum number of requests in a second. */
const QUESTIONS = 1500;

/** The uids of attackers, which nothing else on the machine uses; one process of each attacks. */
const ATTACKERS = [54_321, 54_322];

interface Attack {
  readonly mode: string;
  /** The number of connections or descriptors of each attacker; see hostile.c. */
  readonly count: number;
  readonly title: string;
  /** True for an attack on the metrics of the daemon, even while the floor is measured. */
  readonly metrics?: true;
}

const NOBODY: Attack = { mode: "none", count: 1, title: "nobody attacks" };

const ATTACKS: readonly Attack[] = [
  NOBODY,
  { mode: "idle", count: 2000, title: "2,000 idle connections each" },
  { mode: "namespace-idle", count: 2000, title: "2,000 idle in a user namespace" },
  { mode: "half", count: 500, title: "500 half-closed connections each" },
  { mode: "connect", count: 1, title: "connect and close" },
  { mode: "request", count: 1, title: "connect, ask, close" },
  { mode: "namespace", count: 1, title: "connect, ask, close in a namespace" },
  { mode: "stream", count: 1, title: "ask without reading" },
  { mode: "fill", count: 1, title: "ask without reading, and close" },
  { mode: "rights", count: 250, title: "250 descriptors in a message" },
  { mode: "linger", count: 10, title: "lingering sockets in a message" },
  { mode: "fork", count: 1, title: "a process for each connection" },
  { mode: "http", count: 1, title: "the metrics are fetched again and again", metrics: true },
  { mode: "http-close", count: 1, title: "the metrics are asked for, and closed", metrics: true },
  {
    mode: "http-idle",
    count: 500,
    title: "500 idle connections to the metrics each",
    metrics: true,
  },
  { mode: "http-slow", count: 500, title: "500 that never read the metrics each", metrics: true },
];

/** The waits of a client, and other counts. */
interface Waits {
  /** The time until each answer, microseconds. */
  readonly waitsUs: readonly number[];
  /** How long the client rested after each answer, microseconds. */
  readonly restUs: number;
  /**
   * The number of requests that were not answered within three seconds, or whose connection was
   * closed.
   */
  readonly failed: number;
  /** The number of times that connect(2) would have had to wait. */
  readonly eagain: number;
}

/** How long a client that comes at any time waits, microseconds, and other counts. */
interface Wait {
  readonly p50: number;
  readonly p99: number;
  readonly count: number;
  readonly failed: number;
  readonly eagain: number;
}

/**
 * Returns the waits of all clients that might have come, one for each rest. A client that waits
 * long seldom makes requests: if a second has one answer of 900 ms and 180 quick ones, the median
 * is quick. But others come in the meantime, and wait for what is left ("coordinated omission").
 */
function* ofAllWhoCome({ waitsUs, restUs }: Waits): Generator<number> {
  for (const wait of waitsUs) for (let left = wait; left > 0; left -= restUs) yield left;
}

/** Takes rounds together: their waits are those of one longer time. */
function together(rounds: readonly Waits[]): Wait {
  const waits = Float64Array.from(rounds.flatMap((round) => [...ofAllWhoCome(round)])).sort();
  const quantile = (share: number) => waits[Math.floor(waits.length * share)] ?? Number.NaN;
  const sum = (of: (waits: Waits) => number) => rounds.map(of).reduce((a, b) => a + b, 0);
  return {
    p50: quantile(0.5),
    p99: quantile(0.99),
    count: sum(({ waitsUs }) => waitsUs.length),
    failed: sum(({ failed }) => failed),
    eagain: sum(({ eagain }) => eagain),
  };
}

const asUser = (uid: number) => ["setpriv", `--reuid=${uid}`, `--regid=${uid}`, "--clear-groups"];

function start(before: readonly string[], args: readonly string[]): ChildProcess {
  const [file = "", ...rest] = [...before, ...args];
  return spawn(file, rest, { stdio: ["ignore", "inherit", "inherit"] });
}

function ask(program: string, { address }: RunningServer): Waits {
  const [file = "", ...args] = [...AS_SPAWNER, program];
  args.push(address, "ask", String(QUESTIONS * SECONDS), String(SECONDS));
  return JSON.parse(execFileSync(file, args, { encoding: "utf8" })) as Waits;
}

/** The waits in an attack. */
interface Attacked {
  /** In the second in which the attack begins. */
  readonly beginning: Waits;
  /** In the next second. */
  readonly later: Waits;
}

/** Returns the waits in the first round alone. */
function firstOf(rounds: readonly Attacked[]): Wait {
  return together(rounds.slice(0, 1).flatMap(({ beginning, later }) => [beginning, later]));
}

/** Measures the waits at `server` while `target` is attacked. */
async function askUnder(
  program: string,
  { mode, count }: Attack,
  target: string,
  server: RunningServer,
): Promise<Attacked> {
  // The attack lasts somewhat longer than the requests, at most this long.
  const command = [program, target, mode, String(count), String(2 * SECONDS + 8)];
  const attackers = mode === "none" ? [] : ATTACKERS.map((uid) => start(asUser(uid), command));
  try {
    const beginning = ask(program, server);
    const later = ask(program, server);
    return { beginning, later };
  } finally {
    for (const attacker of attackers) {
      const ended = once(attacker, "exit");
      if (attacker.exitCode === null && attacker.kill("SIGKILL")) await ended;
    }
  }
}

function print(title: string, cells: readonly string[]): void {
  console.log(title.padEnd(42) + cells.map((cell) => cell.padStart(9)).join(""));
}

const times = (ours: number, floor: number) => (ours / floor).toFixed(2);

/** What was measured in all rounds of an attack. */
interface Rounds {
  readonly ours: readonly Attacked[];
  readonly floor: readonly Attacked[];
}

/**
 * Prints a line of an attack.
 * @param first p99 of the first round, of ours; undefined if it is in another line
 * @returns whether the goal is met
 */
function describe(title: string, { ours, floor }: Record<"ours" | "floor", Wait>, first?: number) {
  const isMet = ours.failed === 0 && ours.p50 <= GOAL * floor.p50 && ours.p99 <= GOAL * floor.p99;
  print(title, [
    ...[ours, floor].flatMap(({ p50, p99, eagain, failed, count }) => [
      p50.toFixed(0),
      p99.toFixed(0),
      `${eagain}/${count}`,
      String(failed),
    ]),
    times(ours.p50, floor.p50),
    times(ours.p99, floor.p99),
    first === undefined ? "" : first.toFixed(0),
    isMet ? "" : "MISSED",
  ]);
  return isMet;
}

/** Prints the lines of an attack. @returns whether the goal is met, from the beginning on */
function describeBoth(title: string, rounds: Rounds): boolean {
  const beside = (when: keyof Attacked) => ({
    ours: together(rounds.ours.map((round) => round[when])),
    floor: together(rounds.floor.map((round) => round[when])),
  });
  const isMetAtFirst = describe(title, beside("beginning"), firstOf(rounds.ours).p99);
  return describe("  a second later", beside("later")) && isMetAtFirst;
}

/**
 * Waits until V8 has compiled what a spawner's requests make busy, which takes five seconds once
 * in the life of a daemon, whether anybody attacks or not.
 * @returns p99 of the first two seconds, microseconds
 */
async function measureStart(program: string, daemon: RunningServer): Promise<number> {
  const rounds: Attacked[] = [];
  for (let i = 0; i < START_ROUNDS; i++)
    rounds.push(await askUnder(program, NOBODY, daemon.address, daemon));
  return firstOf(rounds).p99;
}

/** Returns the titles of all attacks. */
export const attackTitles = () => ATTACKS.map(({ title }) => title);

/** Returns the attacks whose titles contain a text; all if it is undefined. */
export const attacksCalled = (only?: string) =>
  ATTACKS.filter(({ title }) => only === undefined || title.includes(only));

/** Measures all attacks. @param only part of the titles of the attacks to try; undefined for all */
export async function measureHostile(only?: string): Promise<void> {
  const attacks = attacksCalled(only);
  using directory = temporaryDirectory();
  const program = join(directory.path, "hostile");
  copyFileSync(compile("hostile"), program);
  chmodSync(program, 0o755);
  const port = await freePort();
  const config = `[metrics]\nlisten = "127.0.0.1:${port}"\n`;
  await using daemon = await startDaemon({ config });

  console.log(
    "A spawner's wait in us, in the second in which an attack begins and in the next one, ours " +
      `beside the floor's; at most ${GOAL} times as long. first: p99 of the first two seconds that ` +
      "the daemon sees of the attack.",
  );
  const columns = ["p50", "p99", "EAGAIN", "failed"];
  print("", [...columns, ...columns, "p50 x", "p99 x", "first"]);
  const started = await measureStart(program, daemon);
  console.log(`a daemon that has just started: p99 ${started.toFixed(0)} us in two seconds`);
  let missed = 0;
  for (const attack of attacks) {
    const rounds: { ours: Attacked[]; floor: Attacked[] } = { ours: [], floor: [] };
    const target = (server: RunningServer) =>
      attack.metrics === true ? String(port) : server.address;
    for (let i = 0; i < ROUNDS; i++) {
      // The effects of an attack on another floor must not count.
      await using floor = await startFloor();
      rounds.floor.push(await askUnder(program, attack, target(floor), floor));
      rounds.ours.push(await askUnder(program, attack, target(daemon), daemon));
    }
    if (!describeBoth(attack.title, rounds)) missed++;
  }
  note({
    work: "a spawner's wait under each attack, p50 and p99",
    ours: `${attacks.length - missed} of ${attacks.length}`,
    goal: `at most ${GOAL} x the floor's`,
    isMet: missed === 0,
  });
}
