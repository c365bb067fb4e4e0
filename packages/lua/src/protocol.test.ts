import { type CgroupRecord, encodeRecord, unpackRecord } from "@cm4all/cgroup";
import { bytesOfLatin1, latin1Of } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { MessageReader } from "./message-reader.ts";
import {
  cutText,
  encodeMessage,
  encodeRun,
  MAX_REQUEST_BYTES,
  MAX_TEXT,
  ProtocolError,
  type Request,
} from "./protocol.ts";

describe("the protocol", () => {
  it("puts a length before the JSON", () => {
    const json = Buffer.from('{"type":"pong","number":1}');
    expect(encodeMessage({ type: "pong", number: 1 })).toEqual(
      Buffer.concat([Buffer.from([json.length, 0, 0, 0]), json]),
    );
  });

  it("refuses a message that is too long", () => {
    const text = bytesOfLatin1("\0".repeat(MAX_REQUEST_BYTES / 6));
    expect(() => encodeMessage({ type: "notice", text })).toThrow(ProtocolError);
  });

  it("accepts a cgroup of any depth and with any names", () => {
    const path = bytesOfLatin1(`/${"\x01".repeat(255)}`.repeat(1000));
    const snapshot = { path, id: "boot:1", report: 1, measuredMs: 0 };
    const record: CgroupRecord = {
      snapshot,
      xattrs: [[[bytesOfLatin1("user.\xff"), bytesOfLatin1("\0")]]],
    };
    const bytes = encodeRun(1, "released", [encodeRecord(record)]);
    expect(bytes.length).toBeGreaterThan(262_144);
    const reader = new MessageReader(MAX_REQUEST_BYTES);
    for (let i = 0; i < bytes.length - 1; i += 65_536) {
      const chunk = bytes.subarray(i, Math.min(i + 65_536, bytes.length - 1));
      expect([...reader.push(chunk)]).toEqual([]);
    }
    const [request, ...more] = [...reader.push(bytes.subarray(-1))];
    expect(more).toEqual([]);
    const { records, ...rest } = request as Extract<Request, { type: "run" }>;
    expect(rest).toEqual({ type: "run", number: 1, kind: "released" });
    expect(records.map(unpackRecord)).toEqual([record]);
  });

  it("limits the length of strings from scripts", () => {
    const text = cutText(bytesOfLatin1("\0".repeat(100_000)));
    expect(latin1Of(text).length).toBe(MAX_TEXT + 3);
  });
});
