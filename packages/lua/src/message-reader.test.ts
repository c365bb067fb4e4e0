import { bytesOfLatin1 } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { MessageReader } from "./message-reader.ts";
import { encodeMessage, MAX_REPLY_BYTES, ProtocolError, type Reply } from "./protocol.ts";

const messages: Reply[] = [
  { type: "pong", number: 1 },
  {
    type: "failed",
    number: 7,
    effect: "none",
    cause: "script",
    message: bytesOfLatin1("\0\n\xff\"'\u0085"),
    traceback: bytesOfLatin1(""),
  },
  { type: "notice", text: bytesOfLatin1("x".repeat(10_000)) },
  { type: "pong", number: 1 },
];
const stream = Buffer.concat(messages.map(encodeMessage));

const readAll = (reader: MessageReader, bytes: Buffer, size: number) => {
  const read: unknown[] = [];
  for (let i = 0; i < bytes.length; i += size)
    read.push(...reader.push(bytes.subarray(i, i + size)));
  return read;
};

function framed(json: string | Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32LE(Buffer.byteLength(json));
  return Buffer.concat([length, Buffer.from(json)]);
}

describe("MessageReader", () => {
  it("gives the same values, however the stream is cut into chunks", () => {
    for (const size of [1, 2, 3, 5, 7, 100, 4096, stream.length])
      expect(readAll(new MessageReader(MAX_REPLY_BYTES), stream, size)).toEqual(messages);
  });

  it("does not keep a chunk", () => {
    const reader = new MessageReader(MAX_REPLY_BYTES);
    const chunk = Buffer.from(stream.subarray(0, 12));
    expect([...reader.push(chunk)]).toEqual([]);
    chunk.fill(0);
    expect([...reader.push(stream.subarray(12))]).toEqual(messages);
  });

  it("gives nothing for an incomplete message", () => {
    for (let length = 0; length < encodeMessage({ type: "pong", number: 1 }).length; length++)
      expect([...new MessageReader(MAX_REPLY_BYTES).push(stream.subarray(0, length))]).toEqual([]);
  });

  it("gives the messages that come before rubbish", () => {
    const bytes = Buffer.concat([encodeMessage({ type: "pong", number: 1 }), framed("rubbish\n")]);
    const values = new MessageReader(MAX_REPLY_BYTES).push(bytes);
    expect(values.next().value).toEqual({ type: "pong", number: 1 });
    expect(() => values.next()).toThrow(new ProtocolError('not a message: "rubbish\\n"'));
  });

  it("refuses any length above the maximum, in one chunk or in several", () => {
    for (const length of [MAX_REPLY_BYTES + 1, 0x7fffffff, 0x80000000, 0xffffffff]) {
      const prefix = Buffer.alloc(4);
      prefix.writeUInt32LE(length);
      for (const size of [1, 4])
        expect(() => readAll(new MessageReader(MAX_REPLY_BYTES), prefix, size)).toThrow(
          new ProtocolError(`a message of ${length} bytes is too long`),
        );
    }
    const longest = framed(`"${"x".repeat(MAX_REPLY_BYTES - 2)}"`);
    expect(readAll(new MessageReader(MAX_REPLY_BYTES), longest, 65_536)).toHaveLength(1);
  });

  it("refuses rubbish of every kind", () => {
    for (const json of [
      "",
      " ",
      "{",
      "[".repeat(100_000),
      '{"a":'.repeat(50_000),
      "\xff\xfe",
      "\0",
    ])
      expect(() => [...new MessageReader(MAX_REPLY_BYTES).push(framed(json))]).toThrow(
        ProtocolError,
      );
  });

  it("reserves no memory for a message that does not come", () => {
    const prefix = Buffer.alloc(4);
    prefix.writeUInt32LE(MAX_REPLY_BYTES);
    const before = process.memoryUsage().arrayBuffers;
    const readers = Array.from({ length: 100 }, () => new MessageReader(MAX_REPLY_BYTES));
    for (const reader of readers) readAll(reader, prefix, 4);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10 * MAX_REPLY_BYTES);
  });

  it("reads a long message byte by byte in linear time and memory", () => {
    const bytes = framed(`"${"x".repeat(MAX_REPLY_BYTES - 2)}"`);
    expect(readAll(new MessageReader(MAX_REPLY_BYTES), bytes, 1)).toHaveLength(1);
  });
});
