import { type CgroupRecord, encodeRecord } from "@cm4all/cgroup";
import { bytesOfLatin1, latin1Of } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import {
  cutText,
  encodeMessage,
  encodeRun,
  MAX_MESSAGE_BYTES,
  MAX_TEXT,
  MessageReader,
  ProtocolError,
  type Reply,
  type Request,
} from "./protocol.ts";

describe("the protocol", () => {
  const messages: Reply[] = [
    { type: "pong" },
    {
      type: "failed",
      number: 7,
      effect: "none",
      cause: "script",
      message: bytesOfLatin1("\0\n\xff\"'\u0085"),
      traceback: bytesOfLatin1(""),
    },
    { type: "notice", text: bytesOfLatin1("x".repeat(1000)) },
  ];
  const stream = Buffer.concat(messages.map(encodeMessage));

  it("is a length in front of JSON", () => {
    const json = Buffer.from('{"type":"pong"}');
    expect(encodeMessage({ type: "pong" })).toEqual(
      Buffer.concat([Buffer.from([json.length, 0, 0, 0]), json]),
    );
  });

  it("is the same however it is cut into chunks", () => {
    for (const size of [1, 2, 7, 100, stream.length]) {
      const reader = new MessageReader<Reply>();
      const read: Reply[] = [];
      for (let i = 0; i < stream.length; i += size)
        read.push(...reader.push(stream.subarray(i, i + size)));
      expect(read).toEqual(messages);
    }
  });

  it("gives nothing for a message that is not complete", () => {
    for (let length = 0; length < encodeMessage({ type: "pong" }).length; length++)
      expect(new MessageReader().push(stream.subarray(0, length))).toEqual([]);
  });

  it("refuses what is no message, or too long", () => {
    const rubbish = Buffer.concat([Buffer.from([7, 0, 0, 0]), Buffer.from("rubbish")]);
    expect(() => new MessageReader().push(rubbish)).toThrow("not a message: rubbish");
    expect(() => new MessageReader().push(Buffer.from("\xff\xff\xff\xff", "latin1"))).toThrow(
      "a message of 4294967295 bytes",
    );
    const text = bytesOfLatin1("\0".repeat(MAX_MESSAGE_BYTES / 6));
    expect(() => encodeMessage({ type: "notice", text })).toThrow(ProtocolError);
  });

  it("takes a cgroup however deep it is and whatever its names are", () => {
    const path = bytesOfLatin1(`/${"\x01".repeat(255)}`.repeat(200));
    const snapshot = { path, id: "boot:1", report: 1, measuredMs: 0 };
    const record: CgroupRecord = {
      snapshot,
      xattrs: [[[bytesOfLatin1("user.\xff"), bytesOfLatin1("\0")]]],
    };
    const bytes = encodeRun(1, "released", [encodeRecord(record)]);
    expect(bytes.length).toBeGreaterThan(262_144);
    const reader = new MessageReader<Request>();
    for (let i = 0; i < bytes.length - 1; i += 65_536)
      expect(reader.push(bytes.subarray(i, Math.min(i + 65_536, bytes.length - 1)))).toEqual([]);
    expect(reader.push(bytes.subarray(-1))).toEqual([
      { type: "run", number: 1, kind: "released", records: [record] },
    ]);
  });

  it("bounds the texts of scripts", () => {
    const text = cutText(bytesOfLatin1("\0".repeat(100_000)));
    expect(latin1Of(text).length).toBe(MAX_TEXT + 3);
  });
});
