/**
 * Measures `up` and `down` of a network namespace, compared with the commands that they replace:
 * the calls to ip(8) in the systemd unit of the original package, with `true` as the set-up script,
 * and corresponding commands for other kinds of links.
 *
 * Runs in namespaces of its own; needs root, iproute2, nftables and util-linux. Our program and the
 * commands are measured in turn, so that everything else that the machine does affects both alike;
 * only the ratio of the medians counts.
 */
import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Goal, note, noteAtMost, noted } from "./goals.ts";
import { root } from "./programs.ts";
import { median } from "./statistics.ts";

/** The first argument of the process that runs in namespaces of its own. */
export const NETNS_INSIDE = "netns-inside";

const PROGRAM = join(root, "../netns/dist/cm4all-spawn-netns.js");
const SCRIPTS = "/etc/cm4all/spawn/netns/setup.d";
/** An environment like that of our units, which unset NODE_EXTRA_CA_CERTS and other variables. */
const ENVIRONMENT = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const WITHOUT_ADDON = { ...ENVIRONMENT, CM4ALL_WITHOUT_ADDON: "1" };

const ROUNDS = 40;
/** The number of measurements with a hundred namespaces. */
const CROWD_ROUNDS = 5;
/** The number of namespaces that are set up at the same time, as by systemd's units at boot. */
const AT_A_TIME = 8;

type Command = readonly string[];

/** Runs this program in namespaces of its own, and notes the goals that it sends back. */
export async function measureNetns(): Promise<void> {
  const [, program = ""] = process.argv;
  const command = ["-nm", "--propagation=private", process.execPath, program, NETNS_INSIDE];
  const child = spawn("unshare", command, {
    env: ENVIRONMENT,
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  child.on("message", (goals: readonly Goal[]) => {
    for (const goal of goals) note(goal);
  });
  const [status] = await once(child, "close");
  if (status !== 0) throw new Error(`the process that measures netns ended: ${status}`);
}

const executeFile = promisify(execFile);

type Environment = Readonly<Record<string, string>>;

async function run([file = "", ...args]: Command, env: Environment = ENVIRONMENT): Promise<void> {
  await executeFile(file, args, { env });
}

async function inOrder(commands: readonly Command[], env?: Environment): Promise<void> {
  for (const command of commands) await run(command, env);
}

const ip = (line: string): Command => ["ip", ...line.split(" ")];

const ipUp = (name: string) =>
  [
    `netns add ${name}`,
    `link add name ${name} type veth peer name ${name}_peer`,
    `link set ${name}_peer netns ${name}`,
    `netns exec ${name} ip link set ${name}_peer name net0 up`,
    `netns exec ${name} true`,
  ].map(ip);
const ipDown = (name: string) => [`link delete ${name}`, `netns delete ${name}`].map(ip);
const ourUp = (name: string): Command[] => [[process.execPath, PROGRAM, "up", name]];
const ourDown = (name: string): Command[] => [[process.execPath, PROGRAM, "down", name]];

type Measured = () => Promise<void>;

/** The name under which the times of our program without the addon are printed. */
const WITHOUT = "without the addon";

interface Compared {
  /** The median time of the first piece of work, in milliseconds. */
  readonly firstMs: number;
  /** The median times of the other pieces of work, as multiples of the first. */
  readonly ratios: readonly number[];
}

/**
 * Measures several pieces of work in turn, and prints their medians; those after the first also as
 * multiples of the first.
 * @param works the pieces of work, by the names under which they are printed
 */
async function compare(
  what: string,
  rounds: number,
  works: Readonly<Record<string, Measured>>,
): Promise<Compared> {
  const measured = Object.entries(works).map(([who, work]) => ({
    who,
    work,
    times: [] as number[],
  }));
  for (let round = 0; round < rounds; round++)
    for (const { work, times } of measured) {
      const startMs = performance.now();
      await work();
      times.push(performance.now() - startMs);
    }
  const medians = measured.map(({ times }) => median(times));
  const [firstMs = Number.NaN, ...others] = medians;
  const ratios = others.map((ms) => ms / firstMs);
  const cells = measured.map(({ who }, i) => `${who} ${medians[i]?.toFixed(1)} ms`);
  const shown = ratios.map((ratio) => ratio.toFixed(2)).join(" and ");
  console.log(`${what}: ${cells.join(", ")}, ratio ${shown}`);
  return { firstMs, ratios };
}

/** Runs the commands for all names, for AT_A_TIME names at a time. */
async function forAll(
  names: readonly string[],
  commands: (name: string) => Command[],
  env?: Environment,
): Promise<void> {
  const queue = [...names];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      await inOrder(commands(name), env);
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, worker));
}

interface Kind {
  /** The description of the namespace, in TOML. */
  readonly toml: string;
  readonly up: readonly string[];
  readonly down: readonly string[];
}

const NFT_UP = `table ip bench {
  chain p { type nat hook postrouting priority srcnat; iifname "bench" oifname != "bench" masquerade; }
}`;
const KINDS: Readonly<Record<string, Kind>> = {
  macvlan: {
    toml: '[link]\ntype = "macvlan"\nparent = "eth0"\n[inside]\naddresses = ["192.0.2.5/24"]\n',
    up: [
      "ip netns add bench",
      "ip link add link eth0 name net0 netns bench type macvlan mode bridge",
      "ip -n bench link set lo up",
      "ip -n bench link set net0 up",
      "ip -n bench address add 192.0.2.5/24 dev net0",
    ],
    down: ["ip netns delete bench"],
  },
  "a port of a bridge": {
    toml: '[outside]\nbridge = "br0"\nisolated = true\n[inside]\naddresses = ["192.0.2.5/24"]\n',
    up: [
      "ip netns add bench",
      "ip link add bench type veth peer name net0 netns bench",
      "ip link set dev bench master br0",
      "ip link set dev bench type bridge_slave isolated on",
      "ip -n bench link set lo up",
      "ip -n bench link set net0 up",
      "ip link set dev bench up",
      "ip -n bench address add 192.0.2.5/24 dev net0",
    ],
    down: ["ip link delete dev bench", "ip netns delete bench"],
  },
  masquerading: {
    toml: '[outside]\naddresses = ["10.0.5.1/24"]\nmasquerade = "ipv4"\n[inside]\naddresses = ["10.0.5.2/24"]\ngateway = "10.0.5.1"\n',
    up: [
      "ip netns add bench",
      "ip link add bench type veth peer name net0 netns bench",
      "sysctl -qw net.ipv4.conf.bench.forwarding=1",
      "sysctl -qw net.ipv4.conf.eth0.forwarding=1",
      `nft ${NFT_UP}`,
      "ip -n bench link set lo up",
      "ip -n bench link set net0 up",
      "ip link set dev bench up",
      "ip address add 10.0.5.1/24 dev bench",
      "ip -n bench address add 10.0.5.2/24 dev net0",
      "ip -n bench route add default via 10.0.5.1",
    ],
    down: ["nft delete table ip bench", "ip link delete dev bench", "ip netns delete bench"],
  },
};

const commandOf = (line: string): Command =>
  line.startsWith("nft table") ? ["nft", line.slice(4)] : line.split(" ");

/** Prepares /run and /etc with mounts that other processes do not see. */
async function prepare(names: readonly string[]): Promise<void> {
  await run(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
  for (const name of ["upper", "work"]) mkdirSync(`/run/${name}`);
  const layers = "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work";
  await run(["mount", "-t", "overlay", "-o", layers, "overlay", "/etc"]);
  mkdirSync(SCRIPTS, { recursive: true });
  for (const name of names) symlinkSync("/bin/true", join(SCRIPTS, name));
}

/** Measures veth pairs. @param nodeMs how long Node takes to run an empty file */
async function measureVeth(names: readonly string[], nodeMs: number): Promise<void> {
  const [one = ""] = names;
  const alone = await compare("up and down, one at a time", ROUNDS, {
    iproute2: () => inOrder([...ipUp(one), ...ipDown(one)]),
    ours: () => inOrder([...ourUp(one), ...ourDown(one)]),
    [WITHOUT]: () => inOrder([...ourUp(one), ...ourDown(one)], WITHOUT_ADDON),
  });
  const ourCrowd = async (env?: Environment) => {
    await forAll(names, ourUp, env);
    await forAll(names, ourDown, env);
  };
  const what = `${names.length} namespaces up and down, ${AT_A_TIME} at a time`;
  const crowd = await compare(what, CROWD_ROUNDS, {
    iproute2: async () => {
      await forAll(names, ipUp);
      await forAll(names, ipDown);
    },
    ours: () => ourCrowd(),
    [WITHOUT]: () => ourCrowd(WITHOUT_ADDON),
  });
  // Our times include two starts of Node, one for `up` and one for `down`.
  const floor = `Node ${((2 * nodeMs) / alone.firstMs).toFixed(2)} x`;
  noteTimes("one at a time", alone, 1.5, floor);
  noteTimes(`${AT_A_TIME} at a time`, crowd, 2);
}

function noteTimes(how: string, { ratios }: Compared, most: number, floor = ""): void {
  const [ours = Number.NaN, without] = ratios;
  noteAtMost(`netns up and down, ${how}`, ours, most, { unit: " x", digits: 2, without, floor });
}

async function measureKinds(): Promise<void> {
  await inOrder(
    [
      "link add eth0 type veth peer name far",
      "link set eth0 up",
      "address add 192.0.2.2/24 dev eth0",
      "route add default via 192.0.2.1",
      "link add br0 type bridge",
    ].map(ip),
  );
  for (const [what, { toml, up, down }] of Object.entries(KINDS)) {
    writeFileSync("/etc/cm4all/spawn/netns/bench.toml", toml);
    await compare(`${what}, up and down`, ROUNDS, {
      iproute2: () => inOrder([...up, ...down].map(commandOf)),
      ours: () => inOrder([...ourUp("bench"), ...ourDown("bench")]),
    });
  }
}

/** Carries out the measurements, in a process that has namespaces of its own. */
export async function measureNetnsInside(): Promise<void> {
  const names = Array.from({ length: 100 }, (_, i) => `b${i}`);
  await prepare(names);
  const empty = "/run/empty.js";
  writeFileSync(empty, "");
  const { firstMs, ratios } = await compare("start alone", ROUNDS, {
    "ip -V": () => run(["ip", "-V"]),
    "node with an empty file": () => run([process.execPath, empty]),
  });
  const [timesIp = Number.NaN] = ratios;
  await measureVeth(names, firstMs * timesIp);
  await measureKinds();
  await new Promise((resolve) => process.send?.(noted(), resolve));
}
