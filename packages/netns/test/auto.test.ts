/** Tests the template, addresses from the pool, and the use of the host's resolver. */
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { type Result, Sandbox } from "./sandbox.ts";

const DIRECTORY = "/etc/cm4all/spawn/netns";
const AUTO = '[inside]\naddresses = "auto"\n';

interface Listed {
  name: string;
  pool: string[];
  links: { addresses: string[] }[];
}

describe.skipIf(missing("root", "iproute2", "ping") !== undefined)("with a pool, up", () => {
  let program: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(() => {
    program = copyProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(async () => {
    sandbox = await Sandbox.make();
  });
  afterEach(() => sandbox.dispose());

  const run = (...args: string[]): Result => sandbox.run("node", program.program, ...args);
  const succeed = (...args: string[]): string => {
    const { status, stderr, stdout } = run(...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  };
  const list = (): Listed[] => JSON.parse(succeed("list", "--json"));
  const configure = (text: string) => sandbox.write(`${DIRECTORY}.toml`, text);
  const pools = '[pool]\nipv4 = "10.213.0.0/24"\nipv6 = "fd12:3456:789a::/48"\n';

  it("gives both ends addresses, sets the gateway, and gives a name the same network again", () => {
    configure(pools);
    sandbox.writeDescription("web", AUTO);
    const checked = succeed("check", "web");
    succeed("up", "web");
    const [web] = list();
    expect(web?.pool).toEqual([
      expect.stringMatching(/^10\.213\.0\.\d+\/30$/),
      expect.stringMatching(/^fd12:3456:789a:.*\/126$/),
    ]);
    for (const address of web?.links[1]?.addresses ?? [])
      if (!address.startsWith("fe80")) expect(checked).toContain(`net0 the address ${address}\n`);
    for (const family of ["-4", "-6"]) {
      const route = sandbox.output("ip", "-n", "web", family, "route", "show", "default");
      const gateway = / via (\S+) /.exec(route)?.[1] ?? "none";
      sandbox.output("ip", "netns", "exec", "web", "ping", "-n", "-q", "-c1", "-W2", gateway);
    }
    succeed("down", "web");
    expect(list()).toEqual([]);
    succeed("up", "web");
    expect(list()[0]?.pool).toEqual(web?.pool);
  });

  it("gives out networks of /31 and /127 if it is configured to", () => {
    configure(
      '[pool]\nipv4 = "10.213.0.0/24"\nipv4_length = 31\nipv6 = "fd00::/64"\nipv6_length = 127\n',
    );
    sandbox.writeDescription("web", AUTO);
    succeed("up", "web");
    expect(list()[0]?.pool.map((network) => network.split("/")[1])).toEqual(["31", "127"]);
    sandbox.output(
      "sh",
      "-c",
      "ip netns exec web ping -n -q -c1 -W2 $(ip -br -4 address show web | sed 's/.* \\([0-9.]*\\)\\/31.*/\\1/')",
    );
  });

  it("gives out each free network once, and none to which the host has a route", async () => {
    // 16 networks, of which the host has routes to four.
    configure('[pool]\nipv4 = "10.213.0.0/26"\n');
    sandbox.write(`${DIRECTORY}/default.toml`, AUTO);
    sandbox.output("ip", "link", "add", "other", "type", "bridge");
    sandbox.output("ip", "link", "set", "other", "up");
    sandbox.output("ip", "address", "add", "10.213.0.1/29", "dev", "other");
    sandbox.output("ip", "route", "add", "10.213.0.32/29", "dev", "other");
    const names = Array.from({ length: 13 }, (_, i) => `w${i}`);
    const results = await Promise.all(
      names.map((name) => sandbox.start("node", program.program, "up", name).end()),
    );
    const failed = results.filter(({ status }) => status !== 0);
    expect(failed).toHaveLength(1);
    expect(failed[0]).toMatchObject({
      status: 73,
      stderr: `cm4all-spawn-netns: ${DIRECTORY}/default.toml:2: no network of the pool 10.213.0.0/26 is free: all of it is taken (${DIRECTORY}.toml)\n`,
    });
    const taken = list().flatMap(({ pool }) => pool);
    expect(new Set(taken).size).toBe(12);
    for (const network of taken) expect(network).not.toMatch(/^10\.213\.0\.(0|4|32|36)\/30$/);
    succeed("down", list()[0]?.name ?? "");
    const last = names.find((name) => !list().some((one) => one.name === name)) ?? "";
    succeed("up", last);
  });

  it("names the host's route that covers the pool", () => {
    configure('[pool]\nipv4 = "10.213.0.0/26"\n');
    sandbox.writeDescription("web", AUTO);
    sandbox.output("ip", "route", "add", "unreachable", "10.0.0.0/8");
    for (const command of ["check", "up"]) {
      const { status, stderr } = run(command, "web");
      expect(status).toBe(73);
      expect(stderr).toContain("is free: the host has a route to 10.0.0.0/8");
    }
    expect(list()).toEqual([]);
  });

  it.each([
    ["", `needs a [pool] in ${DIRECTORY}.toml`],
    [
      '[pool]\nipv4 = "10.213.0.1/16"\n',
      ":2: pool.ipv4: 10.213.0.1/16 has bits set after its prefix",
    ],
    ['[pool]\nipv4 = "fd00::/48"\n', ':2: pool.ipv4: "fd00::/48" is not an IPv4 network'],
    ['[pool]\nipv4 = "10.0.0.0/31"\n', ":2: pool.ipv4: 10.0.0.0/31 has no room"],
    ['[pool]\nipv4 = "10.0.0.0/8"\nipv4_length = 29\n', ":3: pool.ipv4_length: 29 is too small"],
    ["[pol]\n", ":1: pol: unknown key; known here: pool"],
  ])("finds the mistake in the configuration %j", (text, message) => {
    if (text !== "") configure(text);
    sandbox.writeDescription("web", AUTO);
    const { status, stderr } = run("up", "web");
    expect(status).toBe(78);
    expect(stderr).toContain(message);
  });

  it.each([
    [
      '[outside]\naddresses = ["10.0.5.1/24"]\n',
      '4: addresses = "auto" already sets the addresses',
    ],
    ['gateway = "10.0.5.1"\n', '3: addresses = "auto" already sets the addresses'],
    ['[outside]\nbridge = "br0"\n', "2: a port of a bridge has no network of its own"],
    [
      '[link]\ntype = "macvlan"\nparent = "eth0"\n',
      "inside.addresses: expected an array of strings",
    ],
  ])("refuses auto together with %j", (text, message) => {
    configure(pools);
    sandbox.writeDescription("web", AUTO + text);
    const { status, stderr } = run("check", "web");
    expect(status).toBe(78);
    expect(stderr).toContain(message);
  });

  it("uses the template for names that have no file of their own", () => {
    sandbox.write(
      `${DIRECTORY}/default.toml`,
      '# 100 %% for %i\n[dns]\nsearch = ["%i.example.com"]\n',
    );
    expect(succeed("check", "web")).toContain("search web.example.com");
    sandbox.writeScript("own", "#!/bin/sh\n");
    expect(succeed("check", "own")).not.toContain("example.com");
    expect(run("up", "default")).toMatchObject({ status: 64 });
    expect(run("check", 'a"b').stderr).toContain("takes no name with a quote");
    sandbox.write(`${DIRECTORY}/default.toml`, "\n[inside]\nmtu = 1\n");
    expect(run("up", "web").stderr).toContain(`${DIRECTORY}/default.toml:3: inside.mtu`);
  });

  it("uses the host's resolver only if it listens on the host's end of the pair", async () => {
    configure('[pool]\nipv4 = "10.213.0.0/24"\n');
    sandbox.writeDescription("web", `${AUTO}[dns]\nservers = "auto"\nsearch = ["a"]\n`);
    const resolver = (address: string) =>
      sandbox.start(
        "node",
        "-e",
        `require("dgram").createSocket("udp4").bind(53, "${address}", () => console.log("ready"));
         process.stdin.on("end", () => process.exit()).resume();`,
      );
    const stub = resolver("127.0.0.53");
    await stub.printed(/ready/);
    for (const command of ["check", "up"]) {
      const { status, stderr } = run(command, "web");
      expect(status).toBe(78);
      expect(stderr).toMatch(
        /web\.toml:4: no resolver listens on the host's end of the pair \(10\.213/,
      );
    }
    expect(list()).toEqual([]);
    stub.endInput();
    await stub.exited();
    const real = resolver("0.0.0.0");
    await real.printed(/ready/);
    succeed("up", "web");
    const conf = succeed("exec", "web", "cat", "/etc/resolv.conf");
    expect(conf).toMatch(/^nameserver 10\.213\.0\.\d+\nsearch a\n$/);
    expect(sandbox.output("ip", "-br", "address", "show", "web")).toContain(
      `${conf.split(/\s/)[1]}/30`,
    );
  });
});
