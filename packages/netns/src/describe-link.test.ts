import { describe, expect, it } from "vitest";
import { DescriptionError, parseDescription } from "./describe.ts";
import { planUp } from "./plan.ts";
import { describeStep } from "./plan-text.ts";
import { parsePublished, portsClash } from "./ports.ts";
import { tableName } from "./rules.ts";

const plan = (text: string): string[] => {
  const description = parseDescription(text, "web.toml", "web");
  const asked = { name: "web", hostUp: true, scriptTimeoutMs: 0, uplinks: ["eth0"], description };
  return planUp({ ...asked, script: "/s" }).map((step) => describeStep(step, "web"));
};
const mistakes = (text: string): string => {
  try {
    parseDescription(text, "web.toml", "web");
    return "";
  } catch (error) {
    if (error instanceof DescriptionError) return error.message;
    throw error;
  }
};

describe("links in a description", () => {
  it("become steps, as do the VLANs on top of them", () => {
    const text = `
[[link]]
[link.outside]
bridge = "br0"
vlan = 7
tagged_vlans = [8, 9]
isolated = true
tx_queue_length = 5
[link.inside]
addresses = ["fd00::2/64"]
[[link.inside.vlans]]
id = 8
addresses = ["10.8.0.2/24"]
routes = [{ to = "10.80.0.0/16", via = "10.8.0.1" }]
[[link]]
type = "ipvlan"
parent = "eth0"
mode = "l3"
name = "lan"
[[link]]
type = "vlan"
parent = "eth1"
id = 9
[[link]]
type = "move"
parent = "eth2"
[link.inside]
mtu = 1400
[[link]]
[link.outside]
name = "back"
[[link.outside.vlans]]
id = 11
`;
    expect(plan(text)).toEqual([
      "make the network namespace /run/netns/web",
      "make the veth pair web txqueuelen 5 (a port of br0) - net0 (inside)",
      "outside, set the port web: vlan 7, tagged vlans 8 9, isolated",
      "inside, make the vlan net0.8 on net0, id 8",
      "make the ipvlan lan (inside) on eth0, mode l3",
      "make the vlan net2 (inside) on eth1, id 9",
      "move eth2 inside, as net3 mtu 1400; down moves it back",
      "make the veth pair back - net4 (inside)",
      "outside, make the vlan back.11 on back, id 11",
      ...["lo", "net0", "net0.8"].map((link) => `inside, set ${link} up`),
      "outside, set web up",
      ...["lan", "net2", "net3", "net4"].map((link) => `inside, set ${link} up`),
      "outside, set back up",
      "outside, set back.11 up",
      "inside, give net0 the address fd00::2/64",
      "inside, wait for the check that nobody else has the IPv6 addresses of net0",
      "inside, give net0.8 the address 10.8.0.2/24",
      "inside, add a route to 10.80.0.0/16 via 10.8.0.1 dev net0.8",
      "inside, run /s net0 lan net2 net3 net4",
    ]);
  });

  it("have their rules loaded before they are up", () => {
    const text = `
[outside]
addresses = ["10.0.5.1/24"]
masquerade = true
publish = ["8080:80/tcp", "192.0.2.1:53:53/udp", "0.0.0.0:81:81/tcp"]
[inside]
addresses = ["10.0.5.2/24"]
[firewall]
in = "closed"
`;
    const steps = plan(text);
    const table = steps.findIndex((step) => step.includes("load the nftables table"));
    expect(steps[table]).toBe(
      "outside, load the nftables table cm4all-netns-web: masquerade ipv4, publish 8080:80/tcp, publish 192.0.2.1:53:53/udp, publish 0.0.0.0:81:81/tcp, in closed, out open",
    );
    expect(table).toBeLessThan(steps.findIndex((step) => step.includes(" up")));
    expect(steps).toContain("outside, let web forward ipv4");
    expect(steps).toContain("outside, let eth0 forward ipv4");
  });

  it.each([
    ["80:80/tcp", "ipv4 and ipv6"],
    ["0.0.0.0:80:80/tcp", "ipv4"],
    ["192.0.2.1:80:80/tcp", "ipv4"],
    ["[::]:80:80/tcp", "ipv6"],
    ["[0::0]:80:80/tcp", "ipv6"],
  ])("forward only the families of a published port: %s, %s", (port, families) => {
    const steps = plan(
      `[outside]\npublish = ["${port}"]\n[inside]\naddresses = ["10.0.5.2/24", "fd00:5::2/64"]`,
    );
    expect(steps).toContain(`outside, let web forward ${families}`);
  });

  it.each([
    [
      '[link]\ntype = "ipvlan"\nparent = "e"\n[inside]\nmac = "02:00:00:00:00:01"',
      "so mac is not allowed",
    ],
    [
      '[link]\ntype = "move"\nparent = "e"\n[inside]\ntx_queues = 2',
      "the number of queues can be set only for a new link",
    ],
    ['[link]\ntype = "veth"\nparent = "e"', "link.parent: unknown key"],
    ["[[inside.vlans]]\nid = 0", "inside.vlans.id: 0 is too small"],
    ["[[inside.vlans]]\nid = 7\n[[inside.vlans]]\nid = 7", "is given twice"],
    ['[[inside.vlans]]\nid = 7\nname = "a b"', "white space"],
    [
      '[[link]]\nname = "a"\n[[link]]\nname = "a"\n[link.outside]\nname = "b"',
      "a is used twice inside",
    ],
    ['[outside]\nbridge = "b"\nvlan = 7\ntagged_vlans = [7]', "7 is the VLAN without a tag"],
    [
      '[outside]\npublish = ["80:80/tcp"]',
      "there is no address inside to which this port could lead",
    ],
    [
      '[outside]\npublish = ["[::]:80:80/tcp"]\n[inside]\naddresses = ["10.0.5.2/24"]',
      "there is no address inside to which this port could lead",
    ],
    ...["80:81/tcp", "0.0.0.0:80:81/tcp", "192.0.2.1:80:81/tcp"].map((other) => [
      `[outside]\npublish = ["0.0.0.0:80:80/tcp", "${other}"]\n[inside]\naddresses = ["10.0.5.2/24"]`,
      "port 80/tcp of the host is given twice",
    ]),
    [
      "[outside]\nmasquerade = true",
      "true stands for the families of the addresses inside, but there",
    ],
    ['[outside]\nmasquerade = "both"', 'expected true, false, "ipv4" or "ipv6"'],
    ['[firewall]\nin = "shut"', '"shut" is neither open nor closed'],
    ['[firewall]\naccept_in = ["80/tcp"]', "everything is accepted: in is open"],
    ['[firewall]\nin = "closed"\naccept_in = ["80/tcp to 10.0.0.1"]', "is not a rule, such as"],
    ['[firewall]\nin = "closed"\naccept_in = ["80/icmp"]', "is not a rule, such as"],
    ['[firewall]\nin = "closed"\naccept_in = ["9-8/tcp"]', "is not a rule, such as"],
    ['[firewall]\nin = "closed"\naccept_in = ["any; drop"]', "is not a rule, such as"],
    ['[link]\ntype = "none"\n[firewall]', "without a link, there are no packets"],
    ['[firewall]\n[outside]\nbridge = "br0"', "do not see what net0 carries over a bridge"],
  ])("are refused with a message: %j", (text, message) => {
    const found = mistakes(text);
    expect(found.split("\n")).toHaveLength(1);
    expect(found).toMatch(/^web\.toml:\d+: /);
    expect(found).toContain(message);
  });
});

describe("parsePublished", () => {
  it.each([
    ["8080:80/tcp", { hostPort: 8080, insidePort: 80, protocol: "tcp" }],
    ["192.0.2.1:53:5353/udp", { address: "192.0.2.1", hostPort: 53, insidePort: 5353 }],
    ["[2001:db8::1]:80:80/tcp", { address: "2001:db8::1", hostPort: 80 }],
  ])("reads %s", (text, port) => {
    expect(parsePublished(text)).toMatchObject(port);
  });

  it.each([
    "80/tcp",
    "0:80/tcp",
    "80:65536/tcp",
    "80:80",
    "80:80/sctp",
    "2001:db8::1:80:80/tcp",
    "[x]:80:80/tcp",
    "127.0.0.1:80:80/tcp",
    "80:80/tcp; drop",
  ])("refuses %s", (text) => {
    expect(parsePublished(text)).toBeUndefined();
  });

  it("recognises ports that clash", () => {
    const clash = (one: string, other: string) => {
      const ports = [parsePublished(one), parsePublished(other)];
      return ports[0] !== undefined && ports[1] !== undefined && portsClash(ports[0], ports[1]);
    };
    expect(clash("80:1/tcp", "80:2/tcp")).toBe(true);
    expect(clash("80:1/tcp", "192.0.2.1:80:2/tcp")).toBe(true);
    expect(clash("192.0.2.2:80:1/tcp", "192.0.2.1:80:2/tcp")).toBe(false);
    expect(clash("80:1/tcp", "80:1/udp")).toBe(false);
  });
});

describe("tableName", () => {
  it("is different for different names, and always a name that nft accepts", () => {
    const names = ["web", "we_b", "we-b", "a b".replace(" ", "_20"), "a_20b", "ä", "x*", '"', "{"];
    const tables = names.map(tableName);
    expect(new Set(tables).size).toBe(new Set(names).size);
    for (const table of tables) expect(table).toMatch(/^[a-z][A-Za-z0-9._-]*$/);
  });
});
