import {
  encodeDatagram,
  encodeRequest,
  NAMESPACE_KINDS,
  ProtocolError,
  RequestCommand,
} from "@cm4all/spawn-protocol";
import { describe, expect, it } from "vitest";
import { KnownRequests } from "./known-requests.ts";

const user = Buffer.from("0 1000 1");
const decode = (known: KnownRequests, bytes: Uint8Array) =>
  known.decode(Buffer.concat([bytes, Buffer.alloc(100, 0xee)]), bytes.length).prepared?.request;

describe("known requests", () => {
  it("give the earlier result for the same bytes", () => {
    const known = new KnownRequests();
    const bytes = encodeRequest({ name: "a", ipc: true, user, lease: true });
    const first = decode(known, bytes);
    expect(first).toMatchObject({ name: "a", ipc: true, pid: false, user, lease: true });
    expect(decode(known, bytes)).toBe(first);
    expect(decode(known, encodeRequest({ name: "b", ipc: true }))?.name).toBe("b");
    expect(decode(known, bytes)).toBe(first);
  });

  it("keep their payloads when the buffer is used for the next datagram", () => {
    const known = new KnownRequests();
    const bytes = Buffer.from(encodeRequest({ name: "a", user }));
    const { prepared } = known.decode(bytes, bytes.length);
    bytes.fill(0);
    expect(prepared?.request.user).toEqual(user);
  });

  it("list their namespaces in the order of the answer's descriptors, and have room for the descriptors", () => {
    const prepare = (request: Parameters<typeof encodeRequest>[0]) => {
      const bytes = Buffer.from(encodeRequest(request));
      return new KnownRequests().decode(bytes, bytes.length).prepared;
    };
    const all = prepare({ name: "a", user, pid: true, lease: true });
    const kinds = NAMESPACE_KINDS.map(({ kind }) => kind).filter((kind) =>
      /^(pid|user)$/.test(kind),
    );
    expect(all?.namespaces.map(({ kind }) => kind)).toEqual(kinds);
    const payloads = new Map(all?.namespaces.map(({ kind, payload }) => [kind, [...payload]]));
    expect(payloads).toEqual(
      new Map([
        ["pid", []],
        ["user", [...user]],
      ]),
    );
    // The lease comes last.
    expect(all?.fds).toEqual([-1, -1, -1]);
    expect(prepare({ name: "a", ipc: true })?.fds).toEqual([-1]);
    expect(prepare({ name: "a", lease: true })?.fds).toEqual([-1]);
  });

  it("are not returned for a datagram that is cut off", () => {
    const known = new KnownRequests();
    const bytes = encodeRequest({ name: "a", ipc: true, user });
    decode(known, bytes);
    for (let length = 8; length < bytes.length; length++)
      expect(() => known.decode(Buffer.from(bytes), length)).toThrow(ProtocolError);
  });

  it("are not returned for another datagram with the same checksum", () => {
    const known = new KnownRequests();
    const bytes = Buffer.from(encodeRequest({ name: "abcdefgh", ipc: true }));
    decode(known, bytes);
    // The checksum is that of the first datagram, and is wrong for the forged bytes.
    for (let i = 8; i < bytes.length; i++) {
      const forged = Buffer.from(bytes);
      forged.writeUInt8(forged.readUInt8(i) ^ 1, i);
      expect(() => decode(known, forged)).toThrow("wrong checksum");
    }
    const magic = Buffer.from(bytes);
    magic.writeUInt8(0, 0);
    expect(() => decode(known, magic)).toThrow("magic");
  });

  it("are decoded correctly, whether they are kept or not", () => {
    const known = new KnownRequests();
    for (let i = 0; i < 10_000; i++)
      expect(decode(known, encodeRequest({ name: `n${i % 5000}`, pid: true }))?.name).toBe(
        `n${i % 5000}`,
      );
    const long = encodeRequest({ name: "x".repeat(255), user: Buffer.alloc(2000, 0x30) });
    expect(decode(known, long)?.user?.length).toBe(2000);
    const packets = [{ command: RequestCommand.NOP }];
    expect(decode(known, encodeDatagram(packets))).toBeUndefined();
    expect(() => decode(known, new Uint8Array(3))).toThrow("too short");
  });

  /** Returns whether the result is kept: whether decoding again returns the same object. */
  const isKept = (known: KnownRequests, bytes: Uint8Array) => {
    const first = decode(known, bytes);
    return decode(known, bytes) === first;
  };
  const ofLength = (length: number) => {
    const bytes = encodeRequest({ name: "n", user: Buffer.alloc(length - 20, 0x30) });
    expect(bytes).toHaveLength(length);
    return bytes;
  };

  it("are kept up to 512 bytes", () => {
    expect(isKept(new KnownRequests(), ofLength(512))).toBe(true);
    expect(isKept(new KnownRequests(), ofLength(516))).toBe(false);
  });

  it("are kept until there are more than 4,096 of them", () => {
    const known = new KnownRequests();
    const named = (i: number) => encodeRequest({ name: `n${i}`, pid: true });
    const first = decode(known, named(0));
    for (let i = 1; i < 4096; i++) decode(known, named(i));
    expect(decode(known, named(0))).toBe(first);
    decode(known, named(4096));
    expect(decode(known, named(0))).not.toBe(first);
  });
});
