// @ts-check
/**
 * `up` and `down` beside what they replace: the commands of ip(8) that the original
 * unit runs, with `true` as the set-up script. In namespaces of its own; needs root,
 * iproute2 and util-linux. Both are measured in turns, so that whatever else the
 * machine does hits them alike; the ratio of the medians is what counts.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const self = fileURLToPath(import.meta.url);
const program = fileURLToPath(new URL("../dist/cm4all-spawn-netns.js", import.meta.url));
const scripts = "/etc/cm4all/spawn/netns/setup.d";
// Without NODE_EXTRA_CA_CERTS and the like: a unit's environment.
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };

if (process.argv[2] !== "inside") {
  const enter = ["-nm", "--propagation=private", process.execPath, self, "inside"];
  process.exit(spawnSync("unshare", enter, { env, stdio: "inherit" }).status ?? 1);
}

/** @param {string[]} command */
function run(...command) {
  const result = spawnSync(command[0] ?? "", command.slice(1), { env, encoding: "utf8" });
  if (result.status !== 0) throw new Error(`${command.join(" ")}: ${result.stderr}`);
}

/** @param {string[]} command @returns {Promise<void>} */
function start(...command) {
  return new Promise((resolve, reject) => {
    const child = spawn(command[0] ?? "", command.slice(1), { env, stdio: "inherit" });
    child.on("error", reject);
    child.on("exit", (status) =>
      status === 0 ? resolve() : reject(new Error(`${command.join(" ")}: ${status}`)),
    );
  });
}

run("mount", "-t", "tmpfs", "tmpfs", "/run");
for (const name of ["upper", "work"]) mkdirSync(`/run/${name}`);
const layers = "lowerdir=/etc,upperdir=/run/upper,workdir=/run/work";
run("mount", "-t", "overlay", "-o", layers, "overlay", "/etc");
mkdirSync(scripts, { recursive: true });

/** @param {string} name @returns {string[][]} */
const ipUp = (name) =>
  [
    `netns add ${name}`,
    `link add name ${name} type veth peer name ${name}_peer`,
    `link set ${name}_peer netns ${name}`,
    `netns exec ${name} ip link set ${name}_peer name net0 up`,
    `netns exec ${name} true`,
  ].map((line) => ["ip", ...line.split(" ")]);
/** @param {string} name @returns {string[][]} */
const ipDown = (name) => [
  ["ip", "link", "delete", name],
  ["ip", "netns", "delete", name],
];
/** @param {string} name */
const ourUp = (name) => [[process.execPath, program, "up", name]];
/** @param {string} name */
const ourDown = (name) => [[process.execPath, program, "down", name]];

/** @param {number[]} values */
const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;

/**
 * @param {string} what @param {number} rounds
 * @param {() => void | Promise<void>} theirs @param {() => void | Promise<void>} ours
 * @param {[string, string]} labels
 */
async function compare(what, rounds, theirs, ours, labels = ["iproute2", "ours"]) {
  const times = /** @type {[number[], number[]]} */ ([[], []]);
  for (let round = 0; round < rounds; round++)
    for (const [i, work] of [theirs, ours].entries()) {
      const begin = performance.now();
      await work();
      times[i]?.push(performance.now() - begin);
    }
  const [first, second] = [median(times[0]), median(times[1])];
  const figures = `${labels[0]} ${first.toFixed(1)} ms, ${labels[1]} ${second.toFixed(1)} ms`;
  console.log(`${what}: ${figures}, ratio ${(second / first).toFixed(2)}`);
}

const names = Array.from({ length: 100 }, (_, i) => `b${i}`);
for (const name of names) symlinkSync("/bin/true", `${scripts}/${name}`);

/** @param {string[][]} commands */
const inOrder = (commands) => {
  for (const command of commands) run(...command);
};

/**
 * All names, a few at a time, as systemd starts units at boot.
 * @param {(name: string) => string[][]} commands
 */
async function forAll(commands) {
  const queue = [...names];
  const worker = async () => {
    for (let name = queue.shift(); name !== undefined; name = queue.shift())
      for (const command of commands(name)) await start(...command);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}

const one = names[0] ?? "";
const empty = "/run/empty.js";
writeFileSync(empty, "");
await compare(
  "start alone",
  40,
  () => run("ip", "-V"),
  () => run(process.execPath, empty),
  ["ip -V", "node with an empty file"],
);
await compare(
  "up and down, one at a time",
  40,
  () => inOrder([...ipUp(one), ...ipDown(one)]),
  () => inOrder([...ourUp(one), ...ourDown(one)]),
);
await compare(
  "100 namespaces up and down, 8 at a time",
  3,
  async () => {
    await forAll(ipUp);
    await forAll(ipDown);
  },
  async () => {
    await forAll(ourUp);
    await forAll(ourDown);
  },
);
