/**
 * Tests of requests and messages without captures of real traffic. The bytes were made by hand,
 * from the kernel's headers.
 */
import { describe, expect, it } from "vitest";
import { ByteWriter } from "../bytes.ts";
import { AF_INET, AF_INET6, tryParseIpPrefix } from "./ip-address.ts";
import {
  attribute,
  NetlinkFormatError,
  nestedAttribute,
  u16Attribute,
  u32Attribute,
} from "./message.ts";
import {
  deleteLink,
  formatMac,
  getLink,
  getLinkByIndex,
  getLinks,
  parseLink,
  parseMac,
  setLinkUp,
} from "./rtnetlink.ts";
import { addBridgeVlan, deleteBridgeVlan, isolateBridgePort } from "./rtnetlink-bridge.ts";
import {
  changeLink,
  ipvlanModes,
  macvlanModes,
  moveLink,
  newBridge,
  newVethPair,
} from "./rtnetlink-create.ts";
import {
  getAddresses,
  getRoutes,
  IFA_F_DADFAILED,
  IFA_F_NODAD,
  IFA_F_TENTATIVE,
  newAddress,
  newRoute,
  parseLinkAddress,
  parseRoute,
} from "./rtnetlink-ip.ts";

/** IFLA_EXT_MASK (29) with RTEXT_FILTER_SKIP_STATS. */
const WITHOUT_STATISTICS = "08001d0008000000";
/** NLM_F_REQUEST, without and with NLM_F_DUMP, which asks for all objects. */
const ONE = 0x1;
const ALL = 0x301;

describe("a request for", () => {
  it.each([
    [
      "a link",
      getLinkByIndex(7),
      18,
      ONE,
      `0000000007000000${"00".repeat(8)}${WITHOUT_STATISTICS}`,
    ],
    ["all links", getLinks(), 18, ALL, `${"00".repeat(16)}${WITHOUT_STATISTICS}`],
    ["all addresses", getAddresses(), 22, ALL, "00".repeat(8)],
    ["all routes of IPv4", getRoutes(AF_INET), 26, ALL, `02${"00".repeat(11)}`],
    ["all routes of IPv6", getRoutes(AF_INET6), 26, ALL, `0a${"00".repeat(11)}`],
  ])("%s", (_what, request, type, flags, payload) => {
    expect(request).toMatchObject({ type, flags });
    expect(request.payload.toString("hex")).toBe(payload);
  });
});

it("an error about a request names the request and its subject", () => {
  const prefix = tryParseIpPrefix("192.0.2.1/24");
  if (prefix === undefined) throw new Error("no prefix");
  const route = { destination: prefix, gateway: prefix.address, metric: 3 };
  const requests = [
    getLink("web"),
    getLinkByIndex(7),
    getLinks(),
    setLinkUp(7),
    deleteLink(7),
    newAddress(7, prefix),
    newRoute(7, route),
    getAddresses(),
    getRoutes(AF_INET),
    isolateBridgePort(7),
    addBridgeVlan(7, 9, true),
    deleteBridgeVlan(7, 9),
  ];
  expect(requests.map(({ name, args }) => [name, args])).toEqual([
    ["RTM_GETLINK", { name: "web" }],
    ["RTM_GETLINK", { index: 7 }],
    ["RTM_GETLINK", {}],
    ["RTM_NEWLINK", { index: 7, flags: "up" }],
    ["RTM_DELLINK", { index: 7 }],
    ["RTM_NEWADDR", { index: 7, address: "192.0.2.1/24" }],
    ["RTM_NEWROUTE", { index: 7, to: "192.0.2.1/24", via: "192.0.2.1", metric: 3 }],
    ["RTM_GETADDR", {}],
    ["RTM_GETROUTE", { family: AF_INET }],
    ["RTM_NEWLINK", { index: 7, isolated: "on" }],
    ["RTM_SETLINK", { index: 7, vlan: 9 }],
    ["RTM_DELLINK", { index: 7, vlan: 9 }],
  ]);
  const made = [newBridge("br1", false), moveLink(7, "net0", 4)];
  expect(made.map(({ name }) => name)).toEqual(["RTM_NEWLINK", "RTM_NEWLINK"]);
});

it("the modes of stacked links are numbered as in linux/if_link.h", () => {
  expect(macvlanModes).toEqual({ private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 });
  expect(ipvlanModes).toEqual({ l2: 0, l3: 1, l3s: 2 });
});

it("the flags of addresses are those of linux/if_addr.h", () => {
  expect([IFA_F_NODAD, IFA_F_DADFAILED, IFA_F_TENTATIVE]).toEqual([0x02, 0x08, 0x40]);
});

it("the request for a bridge that does not filter VLANs contains no bridge settings", () => {
  const { payload } = newBridge("br0", false);
  expect(parseLink(payload)).toEqual({ index: 0, flags: 0, name: "br0", kind: "bridge" });
});

it("a request to change a link has only the changes, and asks for an acknowledgement", () => {
  const mac = Buffer.of(2, 0, 0, 0, 0, 1);
  const request = changeLink(7, { mtuBytes: 1400, mac });
  expect(request).toMatchObject({ name: "RTM_NEWLINK", type: 16, flags: 5 });
  expect(request.args).toEqual({ index: 7, mtuBytes: 1400 });
  const { mtuBytes, mac: changed } = parseLink(request.payload);
  expect([mtuBytes, changed]).toEqual([1400, "02:00:00:00:00:01"]);
  expect(parseLink(request.payload)).toMatchObject({ index: 7, name: "", flags: 0 });
});

it("one end of a new veth pair can be a port of a bridge from the start", () => {
  const { payload } = newVethPair({ name: "web", masterIndex: 5 }, { name: "net0" }, 4);
  // IFLA_MASTER (10)
  expect(payload.toString("hex")).toContain("08000a0005000000");
});

/** Returns the payload for a link: family, type, index 7, flags 1, change mask, attributes. */
const link = (...attributes: Buffer[]) =>
  Buffer.concat([new ByteWriter(16).u32(0).i32(7).u32(1).u32(0).finish(), ...attributes]);

describe("a link", () => {
  it("has the properties that its message has, and no others", () => {
    expect(parseLink(link())).toEqual({ index: 7, name: "", flags: 1 });
  });

  it("may be a port, and the child of a link in another namespace, at the same time", () => {
    const message = link(
      attribute(3, Buffer.from("web.7\0")),
      u32Attribute(4, 1400),
      u32Attribute(5, 2),
      u32Attribute(10, 5),
      u32Attribute(13, 1000),
      nestedAttribute(18, attribute(1, Buffer.from("vlan\0"))),
      u32Attribute(37, 3),
    );
    expect(parseLink(message)).toEqual({
      index: 7,
      flags: 1,
      name: "web.7",
      kind: "vlan",
      mtuBytes: 1400,
      peerIndex: 2,
      peerNetnsId: 3,
      masterIndex: 5,
      txQueueLength: 1000,
    });
  });

  it.each([
    ["filters VLANs", [attribute(7, Buffer.of(1)), u16Attribute(39, 9)], true, 9],
    ["does not filter VLANs", [attribute(7, Buffer.of(0))], false, 0],
  ])("that is a bridge %s", (_what, data, vlanFiltering, defaultPvid) => {
    const info = (kind: string) =>
      link(nestedAttribute(18, attribute(1, Buffer.from(kind)), nestedAttribute(2, ...data)));
    expect(parseLink(info("bridge\0")).bridge).toEqual({ vlanFiltering, defaultPvid });
    expect(parseLink(info("vxlan\0"))).not.toHaveProperty("bridge");
  });

  it("has a state of RFC 2863 if the kernel's number stands for one", () => {
    const states = Array.from(
      { length: 8 },
      (_, state) => parseLink(link(attribute(16, Buffer.of(state)))).operState,
    );
    expect(states).toEqual([
      "unknown",
      "notpresent",
      "down",
      "lowerlayerdown",
      "testing",
      "dormant",
      "up",
      undefined,
    ]);
  });

  it("is refused if its header is truncated", () => {
    expect(() => parseLink(Buffer.alloc(15))).toThrow(NetlinkFormatError);
    expect(() => parseLink(Buffer.alloc(0))).toThrow("truncated ifinfomsg");
  });

  it("has a hardware address, as text and as bytes", () => {
    expect(formatMac(Buffer.of(2, 0, 0xff, 0x10))).toBe("02:00:ff:10");
    expect(parseMac("02:00:ff:10")).toEqual(Buffer.of(2, 0, 0xff, 0x10));
  });
});

describe("an address", () => {
  /** Returns the payload for 192.0.2.1 with prefix length 24, flags 0x80, link 7. */
  const message = (family: number, ...attributes: Buffer[]) =>
    Buffer.concat([Buffer.of(family, 24, 0x80, 0, 7, 0, 0, 0), ...attributes]);
  const own = Buffer.of(192, 0, 2, 1);

  it("has its flags in an attribute if they do not fit into eight bits", () => {
    expect(parseLinkAddress(message(AF_INET, attribute(2, own)))).toEqual({
      linkIndex: 7,
      prefix: { address: { family: AF_INET, bytes: own }, prefixLength: 24 },
      flags: 0x80,
    });
    const longer = message(AF_INET, attribute(2, own), u32Attribute(8, 0x240));
    expect(parseLinkAddress(longer)?.flags).toBe(0x240);
  });

  it("on a point-to-point link is the address of our side", () => {
    const other = attribute(1, Buffer.of(192, 0, 2, 9));
    const bytesOf = (...attributes: Buffer[]) =>
      parseLinkAddress(message(AF_INET, ...attributes))?.prefix.address.bytes;
    expect(bytesOf(other, attribute(2, own))).toEqual(own);
    expect(bytesOf(other)).toEqual(Buffer.of(192, 0, 2, 9));
  });

  it("is refused if its bytes are those of the other family, or if its header is truncated", () => {
    expect(() => parseLinkAddress(message(AF_INET6, attribute(2, own)))).toThrow(/wrong length/);
    expect(() => parseLinkAddress(message(AF_INET))).toThrow(/wrong length/);
    expect(() => parseLinkAddress(Buffer.alloc(7))).toThrow("truncated ifaddrmsg");
  });
});

describe("a route", () => {
  const message = (family: number, ...attributes: Buffer[]) =>
    Buffer.concat([Buffer.of(family, 0), Buffer.alloc(10), ...attributes]);

  it("without a destination is a default route; a missing metric means 0", () => {
    expect(parseRoute(message(AF_INET))).toEqual({
      destination: { address: { family: AF_INET, bytes: Buffer.alloc(4) }, prefixLength: 0 },
      metric: 0,
    });
    expect(parseRoute(message(AF_INET6))?.destination.address.bytes).toHaveLength(16);
    expect(parseRoute(message(7))).toBeUndefined();
  });

  it("is refused if its bytes are those of the other family, or if its header is truncated", () => {
    const destination = attribute(1, Buffer.alloc(4));
    expect(() => parseRoute(message(AF_INET6, destination))).toThrow(/wrong length/);
    expect(() => parseRoute(Buffer.alloc(11))).toThrow("truncated rtmsg");
  });
});
