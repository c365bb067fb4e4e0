import { describe, expect, it } from "vitest";
import { captured } from "./fixtures.ts";
import { formatIpAddress, tryParseIpAddress, tryParseIpPrefix } from "./ip-address.ts";
import { encodeMessage, NetlinkFormatError, parseMessages } from "./message.ts";
import type { RtnetlinkRequest } from "./rtnetlink.ts";
import { deleteLink, getLink, parseLink, setLinkUp } from "./rtnetlink.ts";
import { addBridgeVlan, deleteBridgeVlan, isolateBridgePort } from "./rtnetlink-bridge.ts";
import { moveLink, newBridge, newStackedLink, newVethPair } from "./rtnetlink-create.ts";
import { IFA_F_NODAD, newAddress, newRoute, parseLinkAddress, parseRoute } from "./rtnetlink-ip.ts";

/** Returns the last message that iproute2 sent in a capture, with 0 as its sequence number. */
function sentByIproute2(name: string): string {
  const bytes = Buffer.from(captured(name).sent.at(-1) ?? Buffer.alloc(0));
  bytes.writeUInt32LE(0, 8);
  return bytes.toString("hex");
}

function encoded({ type, flags, payload }: RtnetlinkRequest): string {
  return encodeMessage({ type, flags, sequence: 0, payload }).toString("hex");
}

const prefix = (text: string) => {
  const parsed = tryParseIpPrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const address = (text: string) => tryParseIpAddress(text);

/** In the captures (fixtures.ts): the descriptor of the namespace, the index of the link `web`. */
const NETNS_FD = 4;
const INDEX = 2;
/** The indexes of the links `opt` and `tun`. */
const OTHER_INDEX = 3;
const PORT_INDEX = 4;

describe("requests equal those of iproute2, byte for byte", () => {
  const options = (last: number, mtuBytes: number) => ({
    mtuBytes,
    mac: Buffer.from([2, 0, 0, 0, 0, last]),
  });
  it.each([
    ["create-pair", newVethPair({ name: "web" }, { name: "net0" }, NETNS_FD)],
    [
      "create-pair-options",
      newVethPair(
        { name: "opt", ...options(1, 1400) },
        { name: "net1", ...options(2, 1300) },
        NETNS_FD,
      ),
    ],
    ["link-up", setLinkUp(INDEX)],
    ["link-delete", deleteLink(INDEX)],
    ["address-4", newAddress(INDEX, prefix("10.0.5.2/24"))],
    ["address-6", newAddress(INDEX, prefix("fd00:5::2/64"), IFA_F_NODAD)],
    [
      "route-4-default",
      newRoute(INDEX, { destination: prefix("0.0.0.0/0"), gateway: address("10.0.5.1") }),
    ],
    ["route-4-link", newRoute(INDEX, { destination: prefix("10.9.0.0/16") })],
    [
      "route-6",
      newRoute(INDEX, {
        destination: prefix("2001:db8::/32"),
        gateway: address("fd00:5::1"),
        metric: 77,
      }),
    ],
    [
      "create-pair-tuned",
      newVethPair(
        {
          name: "tun",
          txQueueLength: 500,
          txQueues: 4,
          rxQueues: 3,
          gsoMaxBytes: 4000,
          gsoMaxSegments: 5,
          groMaxBytes: 5000,
        },
        { name: "net2", txQueueLength: 7 },
        NETNS_FD,
      ),
    ],
    [
      "macvlan",
      newStackedLink(
        INDEX,
        { name: "net3", mtuBytes: 1400 },
        { kind: "macvlan", mode: "bridge" },
        NETNS_FD,
      ),
    ],
    ["ipvlan", newStackedLink(INDEX, { name: "net4" }, { kind: "ipvlan", mode: "l3" }, NETNS_FD)],
    ["vlan", newStackedLink(INDEX, { name: "web.7" }, { kind: "vlan", id: 7 })],
    ["move", moveLink(OTHER_INDEX, "net5", NETNS_FD)],
    ["bridge", newBridge("br1", true)],
    ["port-isolated", isolateBridgePort(PORT_INDEX)],
    ["port-vlan", addBridgeVlan(PORT_INDEX, 7, true)],
    ["port-vlan-tagged", addBridgeVlan(PORT_INDEX, 8, false)],
    ["port-vlan-delete", deleteBridgeVlan(PORT_INDEX, 1)],
    [
      "route-onlink",
      newRoute(INDEX, {
        destination: prefix("10.10.0.0/16"),
        gateway: address("192.0.2.1"),
        onlink: true,
      }),
    ],
    ["route-6-link", newRoute(INDEX, { destination: prefix("2001:db9::/32") })],
  ])("%s", (name, request) => {
    expect(encoded(request)).toBe(sentByIproute2(name));
  });

  it("link-missing, except that ip(8) also asks for a network card's virtual functions", () => {
    const theirs = Buffer.from(sentByIproute2("link-missing"), "hex");
    expect(theirs[36]).toBe(9);
    theirs[36] = 8;
    expect(encoded(getLink("nope"))).toBe(theirs.toString("hex"));
  });
});

const RTM_NEWLINK = 16;
const RTM_NEWADDR = 20;
const RTM_NEWROUTE = 24;

/** Returns the payloads of the kernel's messages of one type in a capture. */
function answers(name: string, type: number): Buffer[] {
  return captured(name)
    .received.flatMap((datagram) => parseMessages(datagram))
    .filter((message) => message.type === type)
    .map((message) => message.payload);
}

describe("parseLink", () => {
  it("reads the kernel's list", () => {
    const links = answers("links", RTM_NEWLINK).map(parseLink);
    expect(links.map(({ name, kind }) => [name, kind])).toEqual([
      ["lo", undefined],
      ["web", "veth"],
      ["opt", "veth"],
    ]);
    expect(links[1]).toMatchObject({ index: INDEX, peerIndex: 2, mtuBytes: 1500, operState: "up" });
    expect(links[2]).toMatchObject({ mtuBytes: 1400, mac: "02:00:00:00:00:01", operState: "down" });
  });

  it("throws only NetlinkFormatError, wherever a message is cut off", () => {
    for (const payload of answers("links", RTM_NEWLINK))
      for (let length = 0; length < payload.length; length++)
        try {
          parseLink(payload.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(NetlinkFormatError);
        }
  });
});

describe("parseLinkAddress", () => {
  const parse = (payload: Buffer) => {
    const parsed = parseLinkAddress(payload);
    return parsed && `${formatIpAddress(parsed.prefix.address)}/${parsed.prefix.prefixLength}`;
  };

  it("reads the kernel's list", () => {
    const addresses = answers("addresses", RTM_NEWADDR).map(parse);
    expect(addresses).toContain("10.0.5.2/24");
    expect(addresses).toContain("fd00:5::2/64");
  });

  it("returns undefined for other address families", () => {
    expect(parseLinkAddress(Buffer.from("0108000001000000", "hex"))).toBeUndefined();
  });

  it("throws only NetlinkFormatError, wherever a message is cut off", () => {
    for (const payload of answers("addresses", RTM_NEWADDR))
      for (let length = 0; length < payload.length; length++)
        try {
          parseLinkAddress(payload.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(NetlinkFormatError);
        }
  });
});

describe("parseRoute", () => {
  const parse = (payload: Buffer) => {
    const route = parseRoute(payload);
    if (route === undefined) return undefined;
    const { address, prefixLength } = route.destination;
    return `${formatIpAddress(address)}/${prefixLength} ${route.linkIndex} ${route.metric}`;
  };

  it("reads the kernel's list", () => {
    const routes = answers("routes", RTM_NEWROUTE).map(parse);
    expect(routes).toContain(`0.0.0.0/0 ${INDEX} 0`);
    expect(routes).toContain(`10.0.5.0/24 ${INDEX} 0`);
    expect(routes).toContain(`10.0.5.2/32 ${INDEX} 0`);
    expect(routes).toContain(`2001:db8::/32 ${INDEX} 77`);
  });

  it("throws only NetlinkFormatError, wherever a message is cut off", () => {
    for (const payload of answers("routes", RTM_NEWROUTE))
      for (let length = 0; length < payload.length; length++)
        try {
          parse(payload.subarray(0, length));
        } catch (error) {
          expect(error).toBeInstanceOf(NetlinkFormatError);
        }
  });
});
