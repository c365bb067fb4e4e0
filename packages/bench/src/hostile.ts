/**
 * Measures how long a spawner waits for the daemon while unprivileged users attack, compared with
 * its wait for the floor under the same attack in the same run. The attackers are processes of two
 * users, limited in number and time; they use only sockets on this machine.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "@cm4all/testing";
import { note } from "./goals.ts";
import { AS_SPAWNER } from "./nsbench.ts";
import { compile, type RunningServer, startDaemon, startFloor } from "./programs.ts";
import { median } from "./statistics.ts";
import { temporaryDirectory } from "./temporary.ts";

/** The maximum of a spawner's wait, as a multiple of its wait for the floor. */
const GOAL = 3;

/**
 * The number of times that each attack is made, on the floor and on the daemon in turn. The medians
 * of all rounds count, because a shared machine stalls now and then: if the stalls in a second add
 * up to more than 10 ms, which is 1 %, they determine the p99 of that second.
 */
const ROUNDS = 7;

/** The total number of rounds of an attack that misses the goal in the first ROUNDS. */
const MORE_ROUNDS = 21;

/**
 * The length, in seconds, of each of the two measurements of an attack: one begins with the attack,
 * when all attackers connect at the same time; the other follows.
 */
const SECONDS = 1;

/** The number of rounds, of two seconds each, before the first attack. */
const START_ROUNDS = 3;

/** The maximum number of requests in a second. */
const QUESTIONS = 1500;

/** The uids of the attackers, one process each. Nothing else on the machine uses these uids. */
const ATTACKERS = [54_321, 54_322];

interface Attack {
  readonly mode: string;
  /** The number of connections or descriptors of each attacker; see hostile.c. */
  readonly count: number;
  readonly title: string;
  /** True if the daemon's metrics are attacked, even while the floor is measured. */
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
  { mode: "http", count: 1, title: "fetch the metrics again and again", metrics: true },
  { mode: "http-close", count: 1, title: "ask for the metrics, and close", metrics: true },
  {
    mode: "http-idle",
    count: 500,
    title: "500 idle connections to the metrics each",
    metrics: true,
  },
  { mode: "http-slow", count: 500, title: "500 each that never read the metrics", metrics: true },
];

/** The waits of a client, and some counts. */
interface Waits {
  /** The time until each answer, in microseconds. */
  readonly waitsUs: readonly number[];
  /** How long the client rested after each answer, in microseconds. */
  readonly restUs: number;
  /**
   * The number of requests that were not answered within three seconds after they were sent, or
   * whose connection failed or was closed.
   */
  readonly failed: number;
  /** The number of times that connect(2) would have had to wait. */
  readonly eagain: number;
}

/** The waits, in microseconds, of a client that arrives at a random moment, and some counts. */
interface Wait {
  readonly p50: number;
  readonly p99: number;
  /** The longest wait. */
  readonly max: number;
  readonly count: number;
  readonly failed: number;
  readonly eagain: number;
}

/**
 * Returns the waits of all clients that might have arrived, one every `restUs`. While a client
 * waits, it makes no further requests: if it waits 900 ms for one answer, and gets 180 quick
 * answers in the next 100 ms, its median wait is short. But other clients would arrive during the
 * 900 ms, and would wait for what is left of them ("coordinated omission").
 */
function* ofAllWhoCome({ waitsUs, restUs }: Waits): Generator<number> {
  for (const wait of waitsUs) for (let left = wait; left > 0; left -= restUs) yield left;
}

/** Returns the waits of all clients that might have arrived, sorted. */
const sorted = (parts: readonly Waits[]) =>
  Float64Array.from(parts.flatMap((part) => [...ofAllWhoCome(part)])).sort();

/** Returns the value below which this share of the sorted waits lies. */
const quantileOf = (waits: Float64Array, share: number) =>
  waits[Math.floor(waits.length * share)] ?? Number.NaN;

/**
 * Summarizes rounds: the medians of their quantiles, the longest wait and the sums of their counts.
 */
function summarize(rounds: readonly Waits[]): Wait {
  const waitsOfRounds = rounds.map((round) => sorted([round]));
  const middle = (share: number) => median(waitsOfRounds.map((waits) => quantileOf(waits, share)));
  const sum = (of: (waits: Waits) => number) => rounds.map(of).reduce((a, b) => a + b, 0);
  return {
    p50: middle(0.5),
    p99: middle(0.99),
    max: Math.max(...waitsOfRounds.map((waits) => waits.at(-1) ?? Number.NaN)),
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

/** The waits during an attack. */
interface Attacked {
  /** In the second in which the attack begins. */
  readonly beginning: Waits;
  /** In the next second. */
  readonly later: Waits;
}

/** Returns p99 of the first round, in microseconds. */
function firstP99([round]: readonly Attacked[]): number {
  return quantileOf(sorted(round === undefined ? [] : [round.beginning, round.later]), 0.99);
}

/** Measures the waits at `server` while `target` is attacked. */
async function askUnder(
  program: string,
  { mode, count }: Attack,
  target: string,
  server: RunningServer,
): Promise<Attacked> {
  // The attackers are killed after the requests. If this process dies before that, they end by
  // themselves after the number of seconds that is their last argument.
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

/** The measurements in the rounds of an attack. */
interface Rounds {
  readonly ours: Attacked[];
  readonly floor: Attacked[];
}

/** The waits for the daemon and for the floor. */
type Comparison = Readonly<Record<keyof Rounds, Wait>>;

const compare = ({ ours, floor }: Rounds, when: keyof Attacked): Comparison => ({
  ours: summarize(ours.map((round) => round[when])),
  floor: summarize(floor.map((round) => round[when])),
});

const meetsGoal = ({ ours, floor }: Comparison) =>
  ours.failed === 0 && ours.p50 <= GOAL * floor.p50 && ours.p99 <= GOAL * floor.p99;

/** Prints a line about an attack. @param first p99 of the daemon's first round, if it is shown */
function describe(title: string, compared: Comparison, first?: number): void {
  const { ours, floor } = compared;
  print(title, [
    ...[ours, floor].flatMap(({ p50, p99, max, eagain, failed, count }) => [
      p50.toFixed(0),
      p99.toFixed(0),
      max.toFixed(0),
      `${eagain}/${count}`,
      String(failed),
    ]),
    times(ours.p50, floor.p50),
    times(ours.p99, floor.p99),
    first === undefined ? "" : first.toFixed(0),
    meetsGoal(compared) ? "" : "MISSED",
  ]);
}

/**
 * Makes an attack in ROUNDS rounds or, if these miss the goal, in MORE_ROUNDS, and prints its
 * lines.
 * @returns whether the goal is met, both at the beginning of the attack and later
 */
async function measureAttack(
  program: string,
  attack: Attack,
  daemon: RunningServer,
  metrics: string,
): Promise<boolean> {
  const rounds: Rounds = { ours: [], floor: [] };
  const target = ({ address }: RunningServer) => (attack.metrics === true ? metrics : address);
  const measure = async (count: number) => {
    while (rounds.ours.length < count) {
      // A new floor for each round: the effects of earlier attacks must not count.
      await using floor = await startFloor();
      rounds.floor.push(await askUnder(program, attack, target(floor), floor));
      rounds.ours.push(await askUnder(program, attack, target(daemon), daemon));
    }
    return { beginning: compare(rounds, "beginning"), later: compare(rounds, "later") };
  };
  const isMet = (both: Readonly<Record<keyof Attacked, Comparison>>) =>
    meetsGoal(both.beginning) && meetsGoal(both.later);

  let both = await measure(ROUNDS);
  if (!isMet(both)) both = await measure(MORE_ROUNDS);
  describe(attack.title, both.beginning, firstP99(rounds.ours));
  describe(`  a second later, ${rounds.ours.length} rounds`, both.later);
  return isMet(both);
}

/**
 * Waits until V8 has compiled the code that handles a spawner's requests. This takes five seconds,
 * once in the life of a daemon, whether anybody attacks or not.
 * @returns p99 of the first two seconds, in microseconds
 */
async function measureStart(program: string, daemon: RunningServer): Promise<number> {
  const rounds: Attacked[] = [];
  for (let i = 0; i < START_ROUNDS; i++)
    rounds.push(await askUnder(program, NOBODY, daemon.address, daemon));
  return firstP99(rounds);
}

/** Returns the titles of all attacks. */
export const attackTitles = () => ATTACKS.map(({ title }) => title);

/** Returns the attacks whose titles contain `only`; all attacks if it is undefined. */
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
    `A spawner's wait in us: medians of ${ROUNDS} rounds, or of ${MORE_ROUNDS} if these miss the ` +
      "goal. Each attack has two lines, one for its first second and one for the next second. " +
      "The daemon's columns come first, then the floor's. Goal: at most " +
      `${GOAL} times the floor's wait. max: the longest wait of all rounds. first: p99 of both ` +
      "seconds of the first round.",
  );
  const columns = ["p50", "p99", "max", "EAGAIN", "failed"];
  print("", [...columns, ...columns, "p50 x", "p99 x", "first"]);
  const started = await measureStart(program, daemon);
  console.log(
    `a daemon that has just started: p99 ${started.toFixed(0)} us in its first two seconds`,
  );
  let missed = 0;
  for (const attack of attacks)
    if (!(await measureAttack(program, attack, daemon, String(port)))) missed++;
  note({
    work: "a spawner's wait under each attack, p50 and p99",
    ours: `${attacks.length - missed} of ${attacks.length}`,
    goal: `at most ${GOAL} x the floor's`,
    isMet: missed === 0,
  });
}
