import { describe, expect, it } from "vitest";
import { MAGIC, MAX_DATAGRAM_SIZE } from "./commands.ts";
import { crc32 } from "./crc32.ts";
import { encodeDatagram, LITTLE_ENDIAN, PacketReader } from "./datagram.ts";
import { ProtocolError, type ProtocolErrorKind } from "./errors.ts";
import { datagramOf, hostOrder, problemOf } from "./testing.ts";

function readAll(bytes: Uint8Array): { command: number; payload: number[] }[] {
  const reader = new PacketReader(bytes);
  const packets = [];
  while (reader.next())
    packets.push({
      command: reader.command,
      payload: [...bytes.subarray(reader.start, reader.end)],
    });
  return packets;
}

describe("crc32", () => {
  it.each([
    // The check value of CRC-32/ISO-HDLC in the catalogue of parametrised CRCs.
    ["123456789", 0xcbf43926],
    ["", 0],
    ["a", 0xe8b7be43],
    ["The quick brown fox jumps over the lazy dog", 0x414fa339],
  ])("gives the standard value for %j", (text, expected) => {
    expect(crc32(Buffer.from(text))).toBe(expected);
  });
});

describe("PacketReader", () => {
  it("reads hand-made bytes", () => {
    const bytes = datagramOf([
      ...hostOrder("u16", 3, 1),
      0x66,
      0x6f,
      0x6f,
      0,
      ...hostOrder("u16", 0, 2),
    ]);
    expect(readAll(bytes)).toEqual([
      { command: 1, payload: [0x66, 0x6f, 0x6f] },
      { command: 2, payload: [] },
    ]);
  });

  it("reads a datagram of a client written in C", { skip: !LITTLE_ENDIAN }, () => {
    const bytes = Buffer.from("736104639200567e01000100660000000000020000000300", "hex");
    expect(readAll(bytes)).toEqual([
      { command: 1, payload: [0x66] },
      { command: 2, payload: [] },
      { command: 3, payload: [] },
    ]);
  });

  it("reads a datagram without packets", () => {
    expect(readAll(datagramOf([]))).toEqual([]);
  });

  it("ignores the contents of the padding", () => {
    const bytes = datagramOf([...hostOrder("u16", 1, 1), 0x66, 0xff, 0xff, 0xff]);
    expect(readAll(bytes)).toEqual([{ command: 1, payload: [0x66] }]);
  });

  it("reads a view into the middle of a larger buffer, with bytes after the datagram", () => {
    const datagram = encodeDatagram([{ command: 7, payload: Uint8Array.of(1, 2, 3, 4, 5) }]);
    const large = new Uint8Array(100).fill(0xee);
    large.set(datagram, 13);
    const reader = new PacketReader(large.subarray(13), datagram.length);
    expect(reader.next()).toBe(true);
    expect([reader.command, reader.offset, reader.start, reader.end]).toEqual([7, 8, 12, 17]);
    expect(reader.next()).toBe(false);
    expect(reader.next()).toBe(false);
  });

  it.each([0, 1, 4, 7])("refuses %d bytes", (length) => {
    expect(problemOf(() => readAll(datagramOf([]).subarray(0, length)))).toEqual(["short", length]);
  });

  it("refuses a datagram with any one bit flipped: wrong magic number or wrong checksum", () => {
    const good = encodeDatagram([{ command: 1, payload: Buffer.from("foo") }]);
    for (let bit = 0; bit < good.length * 8; ++bit) {
      const bad = Uint8Array.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const expected = bit < 32 ? ["bad-magic", 0] : ["bad-crc", 4];
      expect(
        problemOf(() => readAll(bad)),
        `bit ${bit}`,
      ).toEqual(expected);
    }
  });

  it.each([
    ["a truncated header", [0, 0], 8],
    ["a payload beyond the end", [...hostOrder("u16", 100, 1)], 8],
    ["the largest payload", [...hostOrder("u16", 65535, 1), 0, 0, 0, 0], 8],
    ["a last packet without its padding", [...hostOrder("u16", 3, 1), 1, 2, 3], 8],
    ["a truncated second packet", [...hostOrder("u16", 0, 2), ...hostOrder("u16", 4, 1), 1, 2], 12],
  ])("refuses %s", (_, packets, offset) => {
    expect(problemOf(() => readAll(datagramOf(packets)))).toEqual(["truncated", offset]);
  });

  it("refuses a datagram over 32 KiB, including one that did not fit into the buffer", () => {
    const largest = datagramOf(new Array(MAX_DATAGRAM_SIZE - 8).fill(0));
    expect(readAll(largest)).toHaveLength((MAX_DATAGRAM_SIZE - 8) / 4);
    const larger = datagramOf(new Array(MAX_DATAGRAM_SIZE - 4).fill(0));
    expect(problemOf(() => readAll(larger))).toEqual(["too-large", MAX_DATAGRAM_SIZE]);
    expect(problemOf(() => new PacketReader(new Uint8Array(8), 160_000))).toEqual([
      "too-large",
      MAX_DATAGRAM_SIZE,
    ]);
  });

  it("throws if the caller gives a length beyond the buffer", () => {
    expect(() => new PacketReader(new Uint8Array(8), 9)).toThrow(
      new RangeError("datagram of 9 bytes in a buffer of 8"),
    );
  });
});

describe("encodeDatagram", () => {
  it("writes header, packets and padding", () => {
    const bytes = encodeDatagram([{ command: 1, payload: Buffer.from("ab") }, { command: 5 }]);
    const packets = [...hostOrder("u16", 2, 1), 0x61, 0x62, 0, 0, ...hostOrder("u16", 0, 5)];
    const sum = crc32(Uint8Array.from(packets));
    expect([...bytes]).toEqual([...hostOrder("u32", MAGIC, sum), ...packets]);
  });

  it("round-trips payloads of every length up to 300", () => {
    for (let length = 0; length <= 300; ++length) {
      const payload = Uint8Array.from({ length }, (_, i) => i & 0xff);
      const bytes = encodeDatagram([{ command: 9, payload }, { command: 10 }]);
      expect(bytes.length % 4).toBe(0);
      expect(readAll(bytes)).toEqual([
        { command: 9, payload: [...payload] },
        { command: 10, payload: [] },
      ]);
    }
  });

  it("refuses a payload that no packet can hold", () => {
    expect(() => encodeDatagram([{ command: 1, payload: new Uint8Array(65536) }])).toThrow(
      RangeError,
    );
  });
});

it("ProtocolError distinguishes errors in the framing from errors in the contents", () => {
  const isFraming = (kind: ProtocolErrorKind) => new ProtocolError(kind, 8, "x").isFraming;
  const framing = ["short", "too-large", "bad-magic", "bad-crc", "truncated"] as const;
  expect(framing.map(isFraming)).toEqual(framing.map(() => true));
  const contents = ["duplicate", "malformed", "missing"] as const;
  expect(contents.map(isFraming)).toEqual(contents.map(() => false));
});

describe("sizes", () => {
  it("bytes after the datagram, left over from an earlier one, are ignored", () => {
    const bytes = encodeDatagram([{ command: 1, payload: Buffer.from("name") }]);
    expect(() => new PacketReader(bytes, bytes.length + 1)).toThrow(RangeError);
    const longer = Buffer.concat([bytes, Buffer.from("rest of an earlier one")]);
    expect(new PacketReader(longer, bytes.length).next()).toBe(true);
  });

  it("a packet holds as much as its size field can express, and no more", () => {
    const payload = new Uint8Array(0xffff);
    expect(encodeDatagram([{ command: 1, payload }])).toHaveLength(8 + 4 + 0x10000);
    const longer = new Uint8Array(0x10000);
    expect(() => encodeDatagram([{ command: 1, payload: longer }])).toThrow(RangeError);
  });
});
