import { describe, expect, it } from "vitest";
import { MAX_ERROR_SIZE } from "./commands.ts";
import { NAMESPACE_KINDS } from "./kinds.ts";
import { decodeResponse, encodeError, encodeResponse } from "./response.ts";
import { datagramOf, hostOrder, packet, problemOf } from "./testing.ts";

const IPC = 0x08000000;
const PID = 0x20000000;
const USER = 0x10000000;
const handles = (...flags: number[]) => packet(1, hostOrder("u32", ...flags));
const LEASE = packet(2);
const nothing = { ipc: false, pid: false, user: false, lease: false };

describe("encodeResponse", () => {
  it.each([
    [{ ipc: true }, handles(IPC)],
    [{ pid: true }, handles(PID)],
    [{ user: true }, handles(USER)],
    [{ lease: true }, LEASE],
    [{ ipc: true, pid: true }, handles(IPC, PID)],
    [{ pid: true, user: true, lease: true }, [...handles(PID, USER), ...LEASE]],
    [{ ipc: true, pid: true, user: true, lease: true }, [...handles(IPC, PID, USER), ...LEASE]],
  ])("encodes %j", (contents, packets) => {
    expect(encodeResponse({ ...nothing, ...contents })).toEqual(datagramOf(packets));
  });

  it("refuses an empty answer", () => {
    expect(() => encodeResponse(nothing)).toThrow(RangeError);
  });

  it("encodes each answer only once", () => {
    expect(encodeResponse({ ...nothing, ipc: true })).toBe(
      encodeResponse({ ...nothing, ipc: true }),
    );
  });

  it("round-trips each choice of kinds, with and without a lease", () => {
    const flags: Record<string, number> = { ipc: IPC, pid: PID, user: USER };
    for (let bits = 1; bits < 2 << NAMESPACE_KINDS.length; ++bits) {
      const chosen = NAMESPACE_KINDS.filter((_, i) => bits & (1 << i));
      const contents = {
        ...Object.fromEntries(chosen.map(({ kind }) => [kind, true])),
        lease: bits >> NAMESPACE_KINDS.length === 1,
      };
      const namespaces = chosen.map(({ kind, flag }) => flags[kind] ?? flag);
      expect(decodeResponse(encodeResponse(contents))).toEqual({
        kind: "handles",
        namespaces,
        lease: contents.lease,
      });
    }
  });
});

describe("encodeError", () => {
  it("writes printable ASCII unchanged", () => {
    expect(encodeError("no: EPERM")).toEqual(datagramOf(packet(0, Buffer.from("no: EPERM"))));
  });

  it("replaces each character that is not printable ASCII with one question mark", () => {
    expect(decodeResponse(encodeError("a\0b\nc\x1b[1m\x7fä€😀"))).toEqual({
      kind: "error",
      message: "a?b?c?[1m????",
    });
  });

  it("truncates a long text so that payload and padding have at most 1,000 bytes", () => {
    const longest = "x".repeat(1000);
    expect(decodeResponse(encodeError(longest))).toEqual({ kind: "error", message: longest });
    const cut = encodeError("ä".repeat(1001));
    expect(cut.length).toBe(8 + 4 + MAX_ERROR_SIZE);
    expect(decodeResponse(cut)).toEqual({ kind: "error", message: `${"?".repeat(997)}...` });
  });
});

describe("decodeResponse", () => {
  const decode = (...packets: number[][]) => decodeResponse(datagramOf(packets.flat()));

  it("makes the ERROR of another program safe for a terminal", () => {
    expect(decode(packet(0, Buffer.from("größer\x1b[31m\0")))).toEqual({
      kind: "error",
      message: "größer?[31m?",
    });
    expect(decode(packet(0))).toEqual({ kind: "error", message: "" });
  });

  it("returns an ERROR even if there are other packets", () => {
    expect(decode(handles(IPC), packet(0, Buffer.from("x"))).kind).toBe("error");
  });

  it("takes the first of two ERRORs", () => {
    const two = decode(packet(0, Buffer.from("first")), packet(0, Buffer.from("second")));
    expect(two).toEqual({ kind: "error", message: "first" });
  });

  it("ignores unknown commands", () => {
    expect(decode(packet(77, [1]), handles(IPC), LEASE)).toEqual({
      kind: "handles",
      namespaces: [IPC],
      lease: true,
    });
  });

  it.each([
    ["no packet", [], ["missing", 8]],
    ["only an unknown packet", [packet(77)], ["missing", 12]],
    ["no flags", [packet(1)], ["malformed", 8]],
    ["half a flag", [packet(1, [1, 2])], ["malformed", 8]],
    ["two sets of handles", [handles(IPC), handles(PID)], ["duplicate", 16]],
    ["two leases", [LEASE, LEASE], ["duplicate", 12]],
  ])("refuses %s", (_, packets, problem) => {
    expect(problemOf(() => decode(...packets))).toEqual(problem);
  });

  it("refuses every truncation", () => {
    const bytes = encodeResponse({ ipc: true, pid: true, user: true, lease: true });
    for (let length = 0; length < bytes.length; ++length)
      expect(
        problemOf(() => decodeResponse(bytes, length)),
        `${length} bytes`,
      ).toBeDefined();
  });
});
