import { formatIpAddress } from "@cm4all/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DescriptionError, parseDescription } from "./describe.ts";
import { planUp } from "./plan.ts";
import { describeStep } from "./plan-text.ts";

const parse = (text: string) => parseDescription(text, "web.toml", "web");

/** Returns the steps of up for a description, in words. */
function plan(text: string): string[] {
  const description = parse(text);
  const options = { name: "web", hostUp: true, scriptTimeoutMs: 0, uplinks: ["eth0"] };
  return planUp({ ...options, description }).map((step) => describeStep(step, "web"));
}

/** Returns the mistakes in a description, without the file name before each. */
function mistakes(text: string): string[] {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof DescriptionError)
      return error.message.split("\n").map((line) => line.replace(/^web\.toml:/, ""));
    throw error;
  }
  return [];
}

describe("parseDescription", () => {
  it("reads every key", () => {
    const text = `
[inside]
addresses = ["10.0.5.2/24", "fd00:5::2/64"]
gateway = ["10.0.5.1", "fd00:5::1"]
mtu = 1400
mac = "02:00:00:00:05:02"
routes = [{ to = "10.9.0.0/16", via = "10.0.5.9", metric = 7 }, { to = "10.8.0.0/16" }]
[outside]
addresses = ["10.0.5.1/24", "fd00:5::1/64"]
mac = "02:00:00:00:05:01"
up = true
[[outside.routes]]
to = "2001:db8::/32"
via = "fd00:5::2"
[sysctl]
net.ipv4.ip_forward = 1
"net.ipv6.conf.net0.accept_ra" = 0
[dns]
servers = ["10.0.5.1", "fe80::1%net0"]
search = ["example.com", "example.org"]
options = ["edns0"]
`;
    expect(plan(text)).toEqual([
      "make the network namespace /run/netns/web",
      "make the veth pair web address 02:00:00:00:05:01 - net0 mtu 1400 address 02:00:00:00:05:02 (inside)",
      "inside, set net.ipv4.ip_forward = 1",
      "inside, set net.ipv6.conf.net0.accept_ra = 0",
      "inside, set lo up",
      "inside, set net0 up",
      "outside, set web up",
      "outside, give web the address 10.0.5.1/24",
      "outside, give web the address fd00:5::1/64",
      "outside, add a route to 2001:db8::/32 via fd00:5::2 dev web",
      "inside, give net0 the address 10.0.5.2/24",
      "inside, give net0 the address fd00:5::2/64",
      "inside, add a route to 10.8.0.0/16 dev net0",
      "inside, add a route to 10.9.0.0/16 via 10.0.5.9 dev net0 metric 7",
      "inside, add the default route via 10.0.5.1 dev net0",
      "inside, add the default route via fd00:5::1 dev net0",
      'write /etc/netns/web/resolv.conf: "nameserver 10.0.5.1\\nnameserver fe80::1%net0\\n' +
        'search example.com example.org\\noptions edns0\\n"',
    ]);
  });

  it("accepts an empty file", () => {
    expect(plan("")).toHaveLength(5);
  });

  it("returns the line of each value", () => {
    const { links, sysctl, dns } = parse(
      '[inside]\naddresses = [\n"10.0.5.2/24",\n"10.0.5.3/24"]\ngateway = "10.0.5.1"\n' +
        '[sysctl]\nnet.core.somaxconn = 9\n[dns]\nservers=["10.0.5.1"]\n',
    );
    expect(links[0]?.inside.addresses.map(({ origin }) => origin)).toEqual([
      "web.toml:3",
      "web.toml:4",
    ]);
    expect(links[0]?.inside.routes.map(({ origin }) => origin)).toEqual(["web.toml:5"]);
    expect(sysctl).toEqual([
      { value: { key: "net.core.somaxconn", value: "9" }, origin: "web.toml:7" },
    ]);
    expect(dns?.origin).toBe("web.toml:9");
  });

  it("lets a route on the link make a gateway reachable", () => {
    const text = (routes: string) =>
      `[inside]\naddresses = ["10.0.5.2/32"]\ngateway = "192.0.2.1"\nroutes = [${routes}]`;
    expect(mistakes(text(""))).toEqual([
      "3: the gateway 192.0.2.1 is in none of the networks of this end's addresses; a route to 192.0.2.1/32 without via, or onlink = true, says that it is on the link",
    ]);
    const near = '{ to = "198.51.100.0/24", via = "192.0.2.7", onlink = true }';
    expect(mistakes(`[inside]\naddresses = ["10.0.5.2/32"]\nroutes = [${near}]`)).toEqual([]);
    expect(mistakes(text('{ to = "192.0.2.1/32" }'))).toEqual([]);
    const first = parse(text('{ to = "192.0.2.1/32" }')).links[0]?.inside.routes[0];
    expect(first && formatIpAddress(first.value.destination.address)).toBe("192.0.2.1");
  });

  it("accepts link-local gateways, which can be reached", () => {
    expect(mistakes('[inside]\ngateway = "fe80::1"')).toEqual([]);
  });

  it.each([
    ['[inside]\naddresses = ["10.0.5.2"]', '2: "10.0.5.2" is not an address with a prefix length'],
    ['[inside]\naddresses = ["10.0.5.2/33"]', '2: "10.0.5.2/33" is not an address'],
    ['[inside]\naddresses = "10.0.5.2/24"', "2: inside.addresses: expected an array"],
    ['[inside]\naddresses = ["fd00::2/64", "fd00:0::2/64"]', "2: fd00:0::2/64 is given twice"],
    [
      '[inside]\naddresses=["10.0.5.2/24"]\n[outside]\naddresses=["10.0.5.2/24"]',
      "4: 10.0.5.2 is the address of both ends",
    ],
    ['[inside]\ngateway = "10.0.5"', '2: "10.0.5" is not an address'],
    [
      '[inside]\naddresses=["10.0.5.2/24"]\ngateway=["10.0.5.1",\n"10.0.5.3"]',
      "4: 10.0.5.3 is the second gateway of its family",
    ],
    ["[inside]\ngateway = 1", "2: inside.gateway: expected an array of strings, found an integer"],
    ["[inside]\nmtu = 67", "2: inside.mtu: 67 is too small: at least 68"],
    ["[inside]\nmtu = 65536", "2: inside.mtu: 65536 is too large: at most 65535"],
    ['[inside]\naddresses=["fd00::2/64"]\nmtu = 1279', "3: inside.mtu: IPv6 needs at least 1280"],
    ['[inside]\nmac = "02:00"', '2: inside.mac: "02:00" is not a hardware address, such as'],
    [
      '[inside]\nmac = "03:00:00:00:00:01"',
      "2: inside.mac: 03:00:00:00:00:01 is a multicast address",
    ],
    ['[inside]\nmac = "00:00:00:00:00:00"', "2: inside.mac: 00:00:00:00:00:00 is all zeros"],
    ['[inside]\nup = "yes"', "2: inside.up: expected true or false, found a string"],
    [
      '[inside]\nup = false\nroutes = [{ to = "10.9.0.0/16" }]',
      "3: a route needs a link that is up",
    ],
    ["[inside]\nadresses = []", "2: inside.adresses: unknown key; known here: addresses, gateway"],
    ['[inside]\nroutes = [{ via = "10.0.5.1" }]', "2: inside.routes.to: is missing"],
    [
      '[inside]\nroutes = [{ to = "10.9.0.0" }]',
      '2: inside.routes.to: "10.9.0.0" is not a network',
    ],
    [
      '[inside]\nroutes = [{ to = "10.9.0.1/16" }]',
      "2: inside.routes.to: 10.9.0.1/16 has bits set after its prefix",
    ],
    [
      '[inside]\nroutes = [{ to = "::/0", via = "10.0.5.1" }]',
      "2: inside.routes.via: 10.0.5.1 is not of the same family as ::/0",
    ],
    [
      '[inside]\nroutes = [{ to = "10.9.0.0/16", via = "x" }]',
      '2: inside.routes.via: "x" is not an address',
    ],
    [
      '[inside]\nroutes = [{ to = "10.9.0.0/16", metric = -1 }]',
      "2: inside.routes.metric: -1 is too small",
    ],
    ['[inside]\nroutes = [{ to = "10.9.0.0/16", dev = "x" }]', "2: inside.routes.dev: unknown key"],
    [
      '[inside]\nroutes = [{ to = "10.9.0.0/16", via = "10.7.0.1" }]',
      "2: the gateway 10.7.0.1 is in none of the networks",
    ],
    [
      "[sysctl]\nkernel.hostname = 'x'",
      "2: sysctl.kernel.hostname: not a setting of a network namespace",
    ],
    ['[sysctl]\n"net.ipv4.../../x" = 1', "not a setting of a network namespace"],
    ['[sysctl]\n"net/ipv4/ip_forward" = 1', "not a setting of a network namespace"],
    [
      "[sysctl]\nnet.ipv4.ip_forward = true",
      "2: sysctl.net.ipv4.ip_forward: expected a string or an integer",
    ],
    ['[dns]\nservers = ["ns.example.com"]', '2: "ns.example.com" is not an address'],
    [
      '[dns]\nservers = ["10.0.0.1","10.0.0.2","10.0.0.3","10.0.0.4"]',
      "2: dns.servers: at most 3 are used",
    ],
    ['[dns]\nsearch = ["a b"]', '2: "a b" is not one word'],
    ['[dns]\noptions = ["a\\nnameserver 6.6.6.6"]', '2: "a\\nnameserver 6.6.6.6" is not one word'],
    ["[dns]\ndomain = 'x'", "2: dns.domain: unknown key"],
    [
      "[insid]\n",
      "1: insid: unknown key; known here: dns, firewall, inside, link, outside, sysctl",
    ],
    ["inside = 1", "1: inside: expected a table, found an integer"],
    ["[inside", "1: "],
  ])("finds the mistake in %j", (text, message) => {
    const found = mistakes(text);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });

  it.each([
    // Impossible addresses and gateways.
    ["addresses", '"224.0.0.5/24"', "224.0.0.5/24 is a multicast address"],
    ["addresses", '"ff02::5/64"', "ff02::5/64 is a multicast address"],
    ["addresses", '"0.0.0.0/8"', "is not the address of a host"],
    ["addresses", '"127.0.0.2/8"', "is a loopback address"],
    ["addresses", '"::1/128"', "is a loopback address"],
    ["gateway", '"224.0.0.1"', "the gateway 224.0.0.1 is a multicast address"],
    ["gateway", '"10.0.5.2"', "the gateway 10.0.5.2 is the address of this end itself"],
    ["gateway", '"10.0.5.255"', "the gateway 10.0.5.255 is the broadcast address"],
    // Routes that are equal once the kernel has filled in its defaults.
    ["routes", '{ to = "10.0.5.0/24" }', "the network of 10.0.5.2/24 has this route already"],
    ["routes", '{ to = "10.0.5.0/24", metric = 0 }', "has this route already"],
    ["routes", '{ to = "fd00:5::/64", metric = 256 }', "the network of fd00:5::2/64 has this"],
    ["routes", '{ to = "fe80::/64", metric = 256 }', "the network of fe80::/64 has this"],
    [
      "routes",
      '{ to = "10.9.0.0/16" }, { to = "10.9.0.0/16", metric = 0 }',
      "this is the second route to 10.9.0.0/16",
    ],
    [
      "routes",
      '{ to = "fd09::/64" }, { to = "fd09::/64", metric = 1024 }',
      "this is the second route to fd09::/64",
    ],
    ["routes", '{ to = "10.9.0.0/16", onlink = true }', "there is no via"],
  ])("refuses what the kernel would refuse: %s %s", (key, value, message) => {
    const addresses = key === "addresses" ? value : '"10.0.5.2/24", "fd00:5::2/64"';
    const more = key === "addresses" ? "" : `\n${key} = [${value}]`;
    const found = mistakes(`[inside]\naddresses = [${addresses}]${more}`);
    expect(found).toHaveLength(1);
    expect(found[0]).toContain(message);
  });

  it.each([
    ["routes", '{ to = "10.0.5.0/24", metric = 7 }'],
    ["routes", '{ to = "fd00:5::/64" }'],
    ["routes", '{ to = "10.0.5.2/32" }'],
    ["routes", '{ to = "10.9.0.0/16" }, { to = "10.9.0.0/16", metric = 1 }'],
  ])("accepts what the kernel accepts: %s %s", (key, value) => {
    expect(mistakes(`[inside]\naddresses = ["10.0.5.2/24"]\n${key} = [${value}]`)).toEqual([]);
  });

  it.each([
    "10.0.0.1%eth0",
    "10.0.0.1%a b\\nnameserver 6.6.6.6",
    "fe80::1%a b",
    "fe80::1%a\\nnameserver 6.6.6.6",
    "fd00::1%net0",
    "fe80::1%",
    "fe80::1%a%b",
  ])("refuses the name server %s", (server) => {
    expect(mistakes(`[dns]\nservers = ["${server}"]`)[0]).toContain("is not an address");
  });

  it("reports all mistakes together, in the order of their lines", () => {
    const text = '[dns]\nservers = ["x"]\n[inside]\nmtu = 1\nmac = "x"\naddresses = ["x", "y"]\n';
    expect(mistakes(text).map((line) => line.split(":")[0])).toEqual(["2", "4", "5", "6", "6"]);
  });

  it("returns a description, or throws DescriptionError, for any text", () => {
    const piece = fc.constantFrom(
      ...'[inside] [outside] [dns] [sysctl] [link] [[link]] [link.inside] [firewall] type veth macvlan parent bridge auto addresses gateway routes = [ ] { } , " \n 1 mtu to via x . net'.split(
        " ",
      ),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        mistakes(pieces.join(" "));
      }),
    );
  });
});
