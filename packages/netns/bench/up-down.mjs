// @ts-check
/**
 * `up` and `down` beside what they replace: the commands of ip(8) that the original
 * unit runs, with `true` as the set-up script, and those for other kinds of links. In
 * namespaces of its own; needs root, iproute2, nftables and util-linux. Both are measured in turns, so that whatever else the
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

// `npm run bench -- WORD...` measures what the words name, in all packages.
const words = process.argv.slice(2);
if (words[0] !== "inside") {
  if (words.length > 0 && !words.includes("netns")) process.exit(0);
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

run("ip", ..."link add eth0 type veth peer name far".split(" "));
run("ip", "link", "set", "eth0", "up");
run("ip", ..."address add 192.0.2.2/24 dev eth0".split(" "));
run("ip", ..."route add default via 192.0.2.1".split(" "));
run("ip", ..."link add br0 type bridge".split(" "));

const nftUp = `table ip bench {
  chain p { type nat hook postrouting priority srcnat; iifname "bench" oifname != "bench" masquerade; }
}`;
/** @type {Record<string, { toml: string, up: string[], down: string[] }>} */
const kinds = {
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
      `nft ${nftUp}`,
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
/** @param {string} line */
const split = (line) => (line.startsWith("nft table") ? ["nft", line.slice(4)] : line.split(" "));
for (const [what, { toml, up, down }] of Object.entries(kinds)) {
  writeFileSync("/etc/cm4all/spawn/netns/bench.toml", toml);
  await compare(
    `${what}, up and down`,
    40,
    () => inOrder([...up, ...down].map(split)),
    () => inOrder([...ourUp("bench"), ...ourDown("bench")]),
  );
}
