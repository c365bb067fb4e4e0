import { describe, expect, it } from "vitest";
import { encodeDatagram, LITTLE_ENDIAN } from "./datagram.ts";
import { KINDS, NAMESPACE_KINDS } from "./kinds.ts";
import {
  decodeRequest,
  decodeUserMaps,
  encodeRequest,
  encodeUserMaps,
  findNameProblem,
  type Request,
} from "./request.ts";
import { datagramOf, NOTHING, packet, problemOf } from "./testing.ts";

const NAME = packet(1, Buffer.from("foo"));
const IPC = packet(2);
const PID = packet(3);
const USER = packet(4);
const LEASE = packet(5);

const decode = (...packets: number[][]) => decodeRequest(datagramOf(packets.flat()));

describe("decodeRequest", () => {
  it.each<[string, number[], Partial<Request>]>([
    ["IPC_NAMESPACE", IPC, { ipc: true }],
    ["PID_NAMESPACE", PID, { pid: true }],
    ["USER_NAMESPACE", USER, { user: new Uint8Array(0) }],
    ["LEASE_PIPE", LEASE, { lease: true }],
  ])("reads NAME and %s in either order", (_, what, expected) => {
    const request = { name: "foo", ...NOTHING, ...expected };
    expect(decode(NAME, what)).toEqual({ request, unknownCommands: [] });
    expect(decode(what, NAME)).toEqual({ request, unknownCommands: [] });
  });

  it("reads a request for everything at once", () => {
    const maps = Buffer.from("0 0 1\x000 0 1");
    const { request } = decode(LEASE, packet(4, maps), PID, NAME, IPC);
    expect(request).toEqual({
      name: "foo",
      ...NOTHING,
      ipc: true,
      pid: true,
      user: Uint8Array.from(maps),
      lease: true,
    });
  });

  it("reads a request of a client written in C", { skip: !LITTLE_ENDIAN }, () => {
    const hex = "736104639ee14e2607000100666f6f20626172000b00040030203020310030203020310000000500";
    const { request } = decodeRequest(Buffer.from(hex, "hex"));
    expect(request?.name).toBe("foo bar");
    expect(request?.lease).toBe(true);
    expect(decodeUserMaps(request?.user ?? Buffer.of())).toEqual({
      uidMap: "0 0 1",
      gidMap: "0 0 1",
    });
  });

  it("returns the user payload as a view, not a copy", () => {
    const bytes = datagramOf([...NAME, ...packet(4, Buffer.from("0 0 1"))]);
    expect(decodeRequest(bytes).request?.user?.buffer).toBe(bytes.buffer);
  });

  it("ignores NOP with any payload, any number of times", () => {
    const nop = packet(0, [1, 2, 3]);
    expect(decode(nop, NAME, nop, IPC, nop).request?.ipc).toBe(true);
  });

  it("collects unknown commands and ignores them", () => {
    const { request, unknownCommands } = decode(
      packet(99),
      NAME,
      IPC,
      packet(65535, [1]),
      packet(98),
    );
    expect(request).toEqual({ name: "foo", ...NOTHING, ipc: true });
    expect(unknownCommands).toEqual([99, 65535, 98]);
  });

  it.each([
    ["an empty datagram", []],
    ["NOP alone", [packet(0)]],
    ["NAME alone", [NAME]],
  ])("returns no request for %s", (_, packets) => {
    expect(decode(...packets)).toEqual({ request: undefined, unknownCommands: [] });
  });

  it("returns no request for an unknown command alone", () => {
    expect(decode(packet(99))).toEqual({ request: undefined, unknownCommands: [99] });
  });

  it.each([
    ["NAME", NAME, "NAME occurs twice"],
    ["IPC_NAMESPACE", IPC, "IPC_NAMESPACE occurs twice"],
    ["PID_NAMESPACE", PID, "PID_NAMESPACE occurs twice"],
    ["USER_NAMESPACE", USER, "USER_NAMESPACE occurs twice"],
    ["LEASE_PIPE", LEASE, "LEASE_PIPE occurs twice"],
  ])("refuses a second %s", (_, twice, message) => {
    const run = () => decode(twice, NAME === twice ? IPC : NAME, twice);
    expect(run).toThrow(message);
    expect(problemOf(run)?.[0]).toBe("duplicate");
  });

  it.each([
    ["an empty NAME", packet(1), "NAME is empty"],
    ["a NAME of 4081 bytes", packet(1, Buffer.alloc(4081, "x")), "NAME is longer than 4080 bytes"],
    ["a NAME with TAB", packet(1, Buffer.from("a\tb")), "not allowed: 0x09"],
    ["a NAME with NUL", packet(1, Buffer.from("a\0")), "not allowed: 0x00"],
    ["a NAME with the byte 0x80", packet(1, [0x61, 0x80]), "not allowed: 0x80"],
    ["a NAME with UTF-8", packet(1, Buffer.from("ä")), "not allowed: 0xc3"],
    ["IPC_NAMESPACE with a payload", packet(2, [0]), "IPC_NAMESPACE takes no payload"],
    ["PID_NAMESPACE with a payload", packet(3, [0]), "PID_NAMESPACE takes no payload"],
    ["LEASE_PIPE with a payload", packet(5, [0]), "LEASE_PIPE takes no payload"],
  ])("refuses %s", (_, bad, message) => {
    expect(() => decode(bad)).toThrow(message);
    expect(problemOf(() => decode(bad))).toEqual(["malformed", 8]);
  });

  it("accepts every byte from 0x20 to 0x7f in a name, and a name of 4080 bytes", () => {
    const all = Uint8Array.from({ length: 0x60 }, (_, i) => 0x20 + i);
    expect(decode(packet(1, all), IPC).request?.name).toBe(Buffer.from(all).toString("latin1"));
    const long = Buffer.alloc(4080, "x");
    expect(decode(packet(1, long), IPC).request?.name).toBe("x".repeat(4080));
  });

  it.each([IPC, PID, USER, LEASE])("requires a NAME if something is requested", (...what) => {
    expect(problemOf(() => decode(what))).toEqual(["missing", 12]);
  });

  it("reports broken framing before other mistakes", () => {
    expect(problemOf(() => decode(NAME, NAME, [0, 0]))?.[0]).toBe("truncated");
    expect(problemOf(() => decode(IPC, [0, 0]))?.[0]).toBe("truncated");
  });

  it("reports the first of several mistakes", () => {
    expect(problemOf(() => decode(NAME, IPC, IPC, packet(1)))).toEqual(["duplicate", 20]);
    expect(problemOf(() => decode(IPC, IPC, packet(1)))).toEqual(["duplicate", 12]);
    expect(problemOf(() => decode(packet(1), packet(2, [0])))).toEqual(["malformed", 8]);
    expect(problemOf(() => decode(packet(2, [0]), packet(1)))).toEqual(["malformed", 8]);
  });

  it("refuses every truncation of a request", () => {
    const bytes = encodeRequest({
      name: "foo",
      ipc: true,
      pid: true,
      user: encodeUserMaps({ uidMap: "0 0 1", gidMap: "0 0 1" }),
      lease: true,
    });
    for (let length = 0; length < bytes.length; ++length) {
      const kind = problemOf(() => decodeRequest(bytes, length))?.[0];
      expect(kind, `${length} bytes`).toBe(length < 8 ? "short" : "bad-crc");
    }
  });

  it("refuses or decodes every truncation that has a correct checksum", () => {
    const packets = [NAME, IPC, packet(4, Buffer.from("0 0 1\x000 0 1")), LEASE].flat();
    for (let length = 0; length < packets.length; ++length) {
      const kind = problemOf(() => decodeRequest(datagramOf(packets.slice(0, length))))?.[0];
      const atBoundary = [0, 8, 12, 28].includes(length);
      expect(kind, `${length} bytes`).toBe(atBoundary ? undefined : "truncated");
    }
  });
});

describe("encodeRequest", () => {
  it("writes the packets in the order of their numbers", () => {
    const user = Buffer.from("0 0 1");
    const bytes = encodeRequest({ name: "foo", ipc: true, pid: true, user, lease: true });
    expect(bytes).toEqual(datagramOf([...NAME, ...IPC, ...PID, ...packet(4, user), ...LEASE]));
  });

  it.each([
    ["", "NAME is empty"],
    ["x".repeat(4081), "NAME is longer than 4080 bytes"],
    ["naïve", "NAME contains a byte that is not allowed: 0xc3"],
    ["a\n", "NAME contains a byte that is not allowed: 0x0a"],
  ])("refuses the name %j", (name, message) => {
    expect(() => encodeRequest({ name, ...NOTHING, ipc: true })).toThrow(new RangeError(message));
    expect(findNameProblem(name)).toBe(message.replace("NAME ", ""));
  });

  it("refuses to ask for nothing", () => {
    expect(() => encodeRequest({ name: "foo", ...NOTHING })).toThrow("asks for nothing");
  });
});

describe("each kind in NAMESPACE_KINDS", () => {
  it.each(NAMESPACE_KINDS)("$kind is requested by exactly one packet", ({ kind, command }) => {
    const payload = Uint8Array.from(Buffer.from("0 0 1"));
    const { takesPayload } = KINDS[kind];
    const value = takesPayload ? payload : true;
    const what = packet(command, takesPayload ? payload : []);
    const bytes = encodeRequest({ name: "foo", [kind]: value });
    expect(bytes).toEqual(datagramOf([...NAME, ...what]));
    expect(decodeRequest(bytes).request).toEqual({ name: "foo", ...NOTHING, [kind]: value });
    expect(problemOf(() => decode(NAME, what, what))?.[0]).toBe("duplicate");
    const bad = problemOf(() => decode(NAME, packet(command, payload)))?.[0];
    expect(bad).toBe(takesPayload ? undefined : "malformed");
  });
});

describe("user maps", () => {
  it.each([
    ["", undefined, undefined],
    ["0 0 1", "0 0 1", undefined],
    ["0 0 1\0", "0 0 1", undefined],
    ["0 0 1\x001 1 1", "0 0 1", "1 1 1"],
    ["\x001 1 1", undefined, "1 1 1"],
    ["\0", undefined, undefined],
    ["a\0b\0c", "a", "b\0c"],
  ])("reads %j", (payload, uidMap, gidMap) => {
    expect(decodeUserMaps(Buffer.from(payload))).toEqual({ uidMap, gidMap });
  });

  it.each([
    [{}, ""],
    [{ uidMap: "0 0 1" }, "0 0 1"],
    [{ gidMap: "0 0 1" }, "\x000 0 1"],
    [{ uidMap: "0 0 1", gidMap: "0 1 1" }, "0 0 1\x000 1 1"],
    [{ uidMap: "", gidMap: "" }, ""],
  ])("writes %j", (maps, payload) => {
    expect(encodeUserMaps(maps)).toEqual(Buffer.from(payload));
  });
});

it("a request with a payload too long for one packet cannot be encoded", () => {
  const user = new Uint8Array(65536);
  expect(() => encodeRequest({ name: "foo", ...NOTHING, user })).toThrow(RangeError);
  expect(() => encodeDatagram([{ command: 4, payload: user }])).toThrow(RangeError);
});
