/**
 * Makes and removes many namespaces, eight at a time, and kills some runs at random system calls,
 * while other processes use ip(8) and rename links. At the end, nothing must be left.
 */
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { type Result, Sandbox } from "./sandbox.ts";

/** The number of namespaces: more for `npm run torture` than for a run of all tests. */
const COUNT = process.env["TORTURE"] === "all" ? 1000 : 150;
const AT_ONCE = 8;
const TIMEOUT_MS = 30 * 60_000;

/**
 * The system calls at which a process is killed: at the n-th call of that name, where n is a random
 * number up to the value given here.
 */
const calls = {
  openat: 60,
  write: 40,
  read: 40,
  setns: 6,
  unshare: 1,
  socket: 4,
  flock: 3,
  mount: 2,
  umount2: 2,
  unlink: 3,
  mkdir: 2,
  symlink: 1,
  rmdir: 2,
  clone3: 6,
  readlink: 10,
} as const;

const template = `
[inside]
addresses = "auto"
[outside]
masquerade = "ipv4"
[dns]
servers = ["192.0.2.53"]
search = ["%i.example.com"]
`;

/** Makes a generator of the same random numbers in each run. @see Numerical Recipes, LCG */
function makeRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

describe.skipIf(missing("root", "iproute2", "nft", "strace") !== undefined)("churn", () => {
  let program: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(() => {
    program = copyProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(async () => {
    sandbox = await Sandbox.make();
    for (const line of [
      "link add eth0 type veth peer name eth1",
      "link set eth0 up",
      "address add 192.0.2.2/24 dev eth0",
      "route add default via 192.0.2.1",
      "netns add other",
    ])
      sandbox.output("ip", ...line.split(" "));
    sandbox.output("mkdir", "-p", "/run/cm4all-spawn-netns");
    sandbox.write("/etc/cm4all/spawn/netns.toml", '[pool]\nipv4 = "10.213.0.0/20"\n');
    sandbox.write("/etc/cm4all/spawn/netns/default.toml", template);
  });
  afterEach(() => sandbox.dispose());

  const start = async (...words: string[]): Promise<Result> => sandbox.start(...words).end();
  const command = (...args: string[]) => ["node", program.program, ...args];

  /** Repeats a command until no child of a killed process holds the lock any more. */
  const insist = async (...args: string[]): Promise<Result> => {
    for (;;) {
      const result = await start(...command(...args));
      if (result.status !== 75) return result;
    }
  };

  it(
    `of ${COUNT} namespaces leaves nothing behind`,
    async () => {
      const random = makeRandom(42);
      const before = sandbox.state();
      let killed = 0;
      const killedAtCall = async (...args: string[]) => {
        const names = Object.keys(calls) as (keyof typeof calls)[];
        const name = names[random(names.length)] ?? "openat";
        const when = 1 + random(calls[name]);
        const inject = ["-e", `trace=${name}`, "-e", `inject=${name}:signal=KILL:when=${when}`];
        const strace = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject];
        const { status, signal } = await start(...strace, ...command(...args));
        if (status !== 0 || signal !== null) killed++;
      };
      const one = async (name: string): Promise<void> => {
        const fate = random(8);
        if (fate === 0) await killedAtCall("up", name);
        if (fate === 1) {
          // The next up replaces what the killed one left behind.
          await killedAtCall("up", name);
          const { status, stderr } = await insist("up", name);
          // 73: the namespace was complete already, because the signal came too late.
          if (status !== 73) expect({ name, status, stderr }).toMatchObject({ status: 0 });
        }
        if (fate > 1) expect(await insist("up", name)).toMatchObject({ status: 0 });
        if (fate === 2) await killedAtCall("down", name);
        if (fate === 3) await start("ip", "link", "set", name, "name", `r-${name}`);
        if (fate === 4) await start("ip", "netns", "delete", name);
        const { status, stderr } = await insist("down", name);
        expect({ name, status }).toEqual({ name, status: 0 });
        // The namespace may be gone already, while other namespaces have similar names.
        expect(stderr).toMatch(/^(there is no namespace \S+ \(did you mean \S+\?\)\n)?$/);
      };
      let next = 0;
      const work = async () => {
        for (let i = next++; i < COUNT; i = next++) await one(`c${i}`);
      };
      let over = false;
      const others = async () => {
        for (let i = 0; !over; i++) {
          // As udev does: at any moment, even while a link is being set up.
          const rename =
            "for l in $(ip -br link | grep -o '^c[0-9]*' | shuf -n 2); do ip link set $l name u-$l; done";
          await start("sh", "-c", rename);
          expect((await start("ip", "netns", "add", `ip${i}`)).status).toBe(0);
          expect((await start("ip", "netns", "delete", `ip${i}`)).status).toBe(0);
        }
      };
      const beside = others();
      await Promise.all(Array.from({ length: AT_ONCE }, work));
      over = true;
      await beside;
      expect(killed).toBeGreaterThan(COUNT / 16);
      expect(sandbox.state()).toBe(before);
      expect(sandbox.output("nft", "list", "ruleset")).toBe("");
      expect(sandbox.output("sysctl", "-n", "net.ipv4.conf.eth0.forwarding")).toBe("0\n");
    },
    TIMEOUT_MS,
  );
});
