import { networkInterfaces } from "node:os";
import { missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isErrno } from "../src/errors.ts";
import type { Fd } from "../src/fd.ts";
import { createNamespace, withNamespace } from "../src/namespaces.ts";
import { formatIpAddress, tryParseIpAddress, tryParseIpPrefix } from "../src/netlink/ip-address.ts";
import {
  deleteLink,
  getLink,
  getLinks,
  IFF_UP,
  parseLink,
  setLinkUp,
} from "../src/netlink/rtnetlink.ts";
import { newVethPair } from "../src/netlink/rtnetlink-create.ts";
import {
  getAddresses,
  IFA_F_NODAD,
  newAddress,
  newRoute,
  parseLinkAddress,
} from "../src/netlink/rtnetlink-ip.ts";
import { RtnetlinkSocket } from "../src/netlink/socket.ts";

function prefix(text: string) {
  const parsed = tryParseIpPrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
}

describe.skipIf(missing("root") !== undefined)("rtnetlink between two new namespaces", () => {
  let here: Fd;
  let there: Fd;
  let socket: RtnetlinkSocket;
  let peerSocket: RtnetlinkSocket;

  beforeEach(() => {
    here = createNamespace("net");
    there = createNamespace("net");
    socket = withNamespace(here.number, "net", () => new RtnetlinkSocket());
    peerSocket = withNamespace(there.number, "net", () => new RtnetlinkSocket());
  });
  afterEach(() => {
    for (const resource of [socket, peerSocket, here, there]) resource[Symbol.dispose]();
  });

  const makePair = () => {
    const mac = Buffer.from([2, 0, 0, 0, 0, 1]);
    const host = { name: "web", mtuBytes: 1400, mac };
    socket.request(newVethPair(host, { name: "net0", mtuBytes: 1300 }, there.number));
    return {
      web: parseLink(socket.get(getLink("web"))),
      net0: parseLink(peerSocket.get(getLink("net0"))),
    };
  };

  it("makes a pair whose far end is created in the other namespace", () => {
    const { web, net0 } = makePair();
    expect(web).toMatchObject({ kind: "veth", mtuBytes: 1400, mac: "02:00:00:00:00:01" });
    expect(net0).toMatchObject({ kind: "veth", mtuBytes: 1300 });
    expect(web.peerIndex).toBe(net0.index);
    expect(net0.peerIndex).toBe(web.index);
    expect(networkInterfaces()["web"]).toBeUndefined();
  });

  it("sets links up, gives them addresses and routes, and lists them", () => {
    const { web, net0 } = makePair();
    socket.request(setLinkUp(web.index));
    peerSocket.request(setLinkUp(net0.index));
    expect(parseLink(socket.get(getLink("web"))).flags & IFF_UP).toBe(IFF_UP);
    peerSocket.request(newAddress(net0.index, prefix("10.0.5.2/24")));
    peerSocket.request(newAddress(net0.index, prefix("fd00:5::2/64"), IFA_F_NODAD));
    for (const [to, via] of [
      ["0.0.0.0/0", "10.0.5.1"],
      ["2001:db8::/32", "fd00:5::1"],
    ] as const)
      peerSocket.request(
        newRoute(net0.index, { destination: prefix(to), gateway: tryParseIpAddress(via) }),
      );
    peerSocket.request(newRoute(net0.index, { destination: prefix("10.9.0.0/16"), metric: 5 }));
    const addresses = peerSocket
      .dump(getAddresses())
      .map(parseLinkAddress)
      .filter((address) => address?.linkIndex === net0.index)
      .map((address) => address && formatIpAddress(address.prefix.address));
    expect(addresses).toEqual(expect.arrayContaining(["10.0.5.2", "fd00:5::2"]));
    const names = peerSocket.dump(getLinks()).map((payload) => parseLink(payload).name);
    expect(names).toEqual(expect.arrayContaining(["lo", "net0"]));
  });

  it("deletes both ends by deleting one", () => {
    const { web } = makePair();
    socket.request(deleteLink(web.index));
    expect(() => peerSocket.get(getLink("net0"))).toThrow(/^RTM_GETLINK\(name="net0"\): ENODEV/);
  });

  it("lists more links than one datagram holds", () => {
    for (let i = 0; i < 60; i++)
      socket.request(newVethPair({ name: `a${i}` }, { name: `b${i}` }, here.number));
    const names = socket.dump(getLinks()).map((payload) => parseLink(payload).name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(121);
  });

  it("reports a refusal in the kernel's words", () => {
    const { net0 } = makePair();
    const failure = (work: () => unknown) => {
      try {
        work();
      } catch (error) {
        if (error instanceof Error) return error;
      }
      throw new Error("nothing was thrown");
    };
    const exists = failure(() => makePair());
    expect(isErrno(exists, "EEXIST")).toBe(true);
    expect(exists.message).toContain('RTM_NEWLINK(name="web", kind="veth", peer="net0"): EEXIST');
    const tooLong = { name: "a-name-that-is-too-long" };
    expect(
      failure(() => socket.request(newVethPair(tooLong, { name: "net1" }, there.number))).message,
    ).toContain("ERANGE");
    const route = { destination: prefix("0.0.0.0/0"), gateway: tryParseIpAddress("10.77.0.1") };
    peerSocket.request(setLinkUp(net0.index));
    expect(failure(() => peerSocket.request(newRoute(net0.index, route))).message).toBe(
      `RTM_NEWROUTE(index=${net0.index}, to="0.0.0.0/0", via="10.77.0.1"): ENETUNREACH: ` +
        "network is unreachable (the kernel says: Nexthop has invalid gateway)",
    );
  });

  it("distinguishes namespaces by their cookies", () => {
    expect(socket.netnsCookie()).not.toBe(peerSocket.netnsCookie());
    using again = withNamespace(here.number, "net", () => new RtnetlinkSocket());
    expect(again.netnsCookie()).toBe(socket.netnsCookie());
  });
});
