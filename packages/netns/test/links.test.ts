/**
 * Links of every type but `vlan` and `ipvlan`, which packages/e2e tests, because not every kernel
 * has them.
 */
import { readFileSync } from "node:fs";
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { type Result, Sandbox } from "./sandbox.ts";

const EXAMPLE = new URL("../../../examples/netns/links.toml", import.meta.url);
const TOML = "/etc/cm4all/spawn/netns/web.toml";

describe.skipIf(missing("root", "iproute2", "ping") !== undefined)("a namespace's links", () => {
  let program: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(() => {
    program = copyProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(async () => {
    sandbox = await Sandbox.make();
    // eth0 stands for the host's network card, and the other end of the pair for the world.
    for (const line of [
      "netns add world",
      "link add eth0 type veth peer name far netns world",
      "link set eth0 up",
      "-n world link set far up",
      "-n world address add 192.0.2.1/24 dev far",
      "-n world address add 2001:db8::1/64 dev far nodad",
      "address add 192.0.2.2/24 dev eth0",
    ])
      sandbox.output("ip", ...line.split(" "));
  });
  afterEach(() => sandbox.dispose());

  const run = (...args: string[]): Result => sandbox.run("node", program.program, ...args);
  const succeed = (...args: string[]): string => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  };
  /** Runs `up`, `use` and `down`, and checks that nothing is left. */
  const around = (text: string, use: () => void) => {
    sandbox.writeDescription("web", text);
    const before = sandbox.state();
    expect(run("check", "web")).toMatchObject({ status: 0, stderr: "" });
    expect(sandbox.state()).toBe(before);
    succeed("up", "web");
    use();
    const [listed] = JSON.parse(succeed("list", "--json")).filter(
      ({ name }: { name: string }) => name === "web",
    );
    expect(listed).toMatchObject({ state: "complete", problems: [] });
    succeed("down", "web");
    sandbox.output("rmdir", "--ignore-fail-on-non-empty", "-p", "/run/cm4all-spawn-netns");
    sandbox.output("mkdir", "-p", "/run/cm4all-spawn-netns");
    expect(sandbox.state()).toBe(before);
  };
  beforeEach(() => {
    sandbox.output("mkdir", "-p", "/run/cm4all-spawn-netns");
  });
  const inside = (...command: string[]) => sandbox.output("ip", "netns", "exec", "web", ...command);
  const ping = (address: string) => inside("ping", "-n", "-q", "-c", "1", "-W", "2", address);

  it.each(["bridge", "private", "vepa", "passthru"])("may be macvlan, mode %s", (mode) => {
    const text = `[link]\ntype = "macvlan"\nparent = "eth0"\nmode = "${mode}"\n
[inside]\naddresses = ["192.0.2.5/24", "2001:db8::5/64"]\ngateway = "192.0.2.1"\nmtu = 1400\n`;
    around(text, () => {
      ping("192.0.2.1");
      ping("2001:db8::1");
      expect(inside("ip", "-d", "link", "show", "net0")).toMatch(
        new RegExp(`mtu 1400 .*macvlan mode ${mode}`, "s"),
      );
      const [web] = JSON.parse(succeed("list", "--json"));
      expect(web.links[1]).toMatchObject({ kind: "macvlan", host: { name: "eth0" } });
      expect(web.hostLink).toBeUndefined();
    });
  });

  it("work as in the example with several links, also with its commented-out lines enabled", () => {
    const hasFilter = sandbox.run("ip", ..."link add br0 type bridge vlan_filtering 1".split(" "));
    if (hasFilter.status !== 0) sandbox.output("ip", "link", "add", "br0", "type", "bridge");
    sandbox.output("ip", ..."link add eth1 type veth peer name far1".split(" "));
    const hasVlans = sandbox.run("ip", ..."link add probe link eth1 type vlan id 9".split(" "));
    if (hasVlans.status === 0) sandbox.output("ip", "link", "delete", "probe");
    const shown = readFileSync(EXAMPLE, "utf8");
    // What this kernel lacks is left out.
    const example = hasFilter.status === 0 ? shown : shown.replace(/^vlan = 7\n/m, "");
    const all = example.replace(/^# (?:# )?(\[|\w+ = )/gm, "$1");
    expect(all).toContain('\nparent = "eth1"\n');
    const hosted =
      hasVlans.status === 0 ? all : all.replace(/^\[\[link\.inside\.vlans\]\].*/ms, "");
    for (const text of [example, hosted])
      around(text, () => {
        expect(inside("ip", "-br", "address", "show", "net0")).toContain("192.0.2.5/24");
        expect(inside("ip", "-br", "address", "show", "lan")).toContain("10.7.0.5/24");
        const port = sandbox.output("ip", "-d", "link", "show", "web-lan");
        expect(port).toMatch(/master br0.*isolated on/s);
      });
  });

  it("do not get an IPv6 address that another host on the network has", () => {
    const text =
      '[link]\ntype = "macvlan"\nparent = "eth0"\n[inside]\naddresses = ["2001:db8::1/64"]\n';
    sandbox.writeDescription("web", text);
    const { status, stderr } = run("up", "web");
    expect(status).toBe(73);
    expect(stderr).toBe(
      `cm4all-spawn-netns: ${TOML}:5: another host has the address 2001:db8::1; everything has been undone\n`,
    );
  });

  it("may be isolated ports of a bridge", () => {
    for (const line of [
      "link add br0 type bridge",
      "link set br0 up",
      "address add 198.51.100.1/24 dev br0",
    ])
      sandbox.output("ip", ...line.split(" "));
    const text =
      '[outside]\nbridge = "br0"\nisolated = true\n[inside]\naddresses = ["198.51.100.5/24"]\n';
    around(text, () => {
      expect(sandbox.output("ip", "-d", "link", "show", "web")).toMatch(/master br0.*isolated on/s);
      ping("198.51.100.1");
      const [web] = JSON.parse(succeed("list", "--json"));
      expect(web.links[1]).toMatchObject({ host: { name: "web" }, bridge: "br0" });
    });
  });

  it("may be an interface of the host; `down` moves it back as it was", () => {
    for (const line of ["link add lan type veth peer name lan-far", "link set lan-far netns world"])
      sandbox.output("ip", ...line.split(" "));
    sandbox.output("ip", "link", "set", "lan", "up", "mtu", "1450", "address", "02:00:00:00:00:77");
    const look = () =>
      sandbox.output("ip", "-br", "link", "show", "lan").split(/\s+/).slice(2).join(" ");
    const mtu = () => /mtu \d+/.exec(sandbox.output("ip", "link", "show", "lan"))?.[0];
    const before = look();
    const text =
      '[link]\ntype = "move"\nparent = "lan"\n[inside]\naddresses = ["203.0.113.5/24"]\nmtu = 1300\nmac = "02:00:00:00:00:78"\n';
    around(text, () => {
      expect(sandbox.run("ip", "link", "show", "lan").status).toBe(1);
      expect(inside("ip", "link", "show", "net0")).toMatch(/mtu 1300 .*02:00:00:00:00:78/s);
    });
    expect([look(), mtu()]).toEqual([before, "mtu 1450"]);
    // It comes back even if it was renamed inside.
    succeed("up", "web");
    sandbox.output("ip", "-n", "web", "link", "set", "net0", "down", "name", "odd");
    succeed("down", "web");
    expect([look(), mtu()]).toEqual([before, "mtu 1450"]);
    // If its name has been taken in the meantime, it comes back under another one.
    succeed("up", "web");
    sandbox.output("ip", "link", "add", "lan", "type", "bridge");
    expect(run("down", "web")).toMatchObject({
      status: 0,
      stderr: expect.stringContaining("taken"),
    });
    expect(sandbox.output("ip", "-br", "link")).toContain("moved0");
  });

  it("may be an interface of the host; `up` moves it back when it fails", () => {
    sandbox.output("ip", "link", "add", "lan", "type", "veth", "peer", "name", "lan-far");
    const before = sandbox.state();
    sandbox.writeDescription("web", '[link]\ntype = "move"\nparent = "lan"\n');
    sandbox.writeScript("web", "#!/bin/sh\nexit 1\n");
    expect(run("up", "web").status).toBe(1);
    expect(sandbox.state()).toBe(before);
  });

  it("may be none at all", () => {
    around('[link]\ntype = "none"\n[sysctl]\nnet.ipv4.ip_forward = 1\n', () => {
      expect(inside("ls", "/sys/class/net")).toBe("lo\n");
    });
    sandbox.writeScript("web", "#!/bin/sh\necho arguments $#\n");
    expect(succeed("up", "web")).toBe("arguments 0\n");
  });

  it("may be several, with settings of queues and offloads for both ends", () => {
    const text = `
[[link]]
[link.inside]
addresses = ["10.0.5.2/24"]
tx_queue_length = 77
gso_max_bytes = 4000
gso_max_segments = 9
[link.outside]
addresses = ["10.0.5.1/24"]
tx_queues = 2
rx_queues = 3
tx_queue_length = 88
[[link]]
type = "macvlan"
parent = "eth0"
name = "lan"
[link.inside]
addresses = ["192.0.2.7/24"]
[[link]]
[link.outside]
name = "web-back"
`;
    around(text, () => {
      ping("10.0.5.1");
      ping("192.0.2.1");
      expect(inside("ls", "/sys/class/net")).toBe("lan\nlo\nnet0\nnet2\n");
      expect(inside("ip", "-d", "link", "show", "net0")).toMatch(
        /qlen 77.*gso_max_size 4000 gso_max_segs 9/s,
      );
      expect(sandbox.output("ip", "-d", "link", "show", "web")).toMatch(
        /qlen 88.*numtxqueues 2 numrxqueues 3/s,
      );
      expect(sandbox.output("ip", "-br", "link", "show", "web-back")).toContain("web-back");
    });
    sandbox.writeScript("web", "#!/bin/sh\necho $*\n");
    expect(succeed("up", "web")).toBe("net0 lan net2\n");
  });

  it.each([
    ['[link]\ntype = "macvlan"\n', "1: link.parent: is missing"],
    ['[link]\ntype = "macvlan"\nparent = "nope"\n', "3: there is no link nope on the host"],
    [
      '[link]\ntype = "macvlan"\nparent = "lo"\n',
      "3: the loopback device cannot carry other links",
    ],
    ['[link]\ntype = "move"\nparent = "lo"\n', "3: the loopback device cannot be moved"],
    [
      '[link]\ntype = "macvlan"\nparent = "port"\n',
      "3: port is a port of a bridge or a bond already",
    ],
    [
      '[link]\ntype = "macvlan"\nparent = "eth0"\nmode = "l2"\n',
      '4: link.mode: "l2" is not one of',
    ],
    ['[link]\ntype = "vlan"\nparent = "eth0"\n', "1: link.id: is missing"],
    ['[link]\ntype = "vlan"\nparent = "port"\nid = 4095\n', "4: link.id: 4095 is too large"],
    ['[link]\ntype = "vlan"\nparent = "port"\nid = 7\n', "3: port is down, and a VLAN on it"],
    ['[link]\ntype = "bogus"\n', '2: link.type: "bogus" is not one of veth, macvlan'],
    [
      '[link]\ntype = "macvlan"\nparent = "eth0"\n[outside]\n',
      "4: outside: a macvlan has no other end",
    ],
    ['[link]\ntype = "none"\n[inside]\n', "3: inside: there is no link"],
    [
      '[link]\ntype = "none"\n[firewall]\nin = "closed"\n',
      "3: without a link, there are no packets for the host's hooks",
    ],
    ['[link]\nname = "lo"\n', "2: link.name: lo is the loopback device"],
    ['[outside]\nbridge = "nope"\n', "2: there is no bridge nope on the host"],
    ['[outside]\nbridge = "eth0"\n', "2: eth0 is not a bridge"],
    ['[outside]\nbridge = "br0"\nvlan = 7\n', "2: the bridge br0 does not filter VLANs"],
    ["[outside]\nvlan = 7\n", "2: outside.vlan: is a setting of a bridge's port"],
    [
      '[outside]\nbridge = "br0"\naddresses = ["10.0.5.1/24"]\n',
      "3: a port of a bridge has no addresses",
    ],
    [
      '[outside]\nbridge = "br0"\nmasquerade = "ipv4"\n',
      "3: the host sees packets of a port as the bridge's",
    ],
    ["[[link]]\n[[link]]\n", "2: the host's end of the first pair has the name of the namespace"],
    ["[[link]]\n[inside]\n", "2: inside: with [[link]], write [link.inside] below each"],
  ])("are refused by `check` and `up`, which name the line: %j", (text, message) => {
    for (const line of [
      "link add br0 type bridge",
      "link add port type veth peer name p2",
      "link set port master br0",
    ])
      sandbox.output("ip", ...line.split(" "));
    sandbox.writeDescription("web", text);
    const before = sandbox.state();
    for (const command of ["check", "up"]) {
      const { status, stderr } = run(command, "web");
      expect([73, 78]).toContain(status);
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(stderr).toContain(`${TOML}:${message}`);
    }
    expect(sandbox.state()).toBe(before);
  });
});
