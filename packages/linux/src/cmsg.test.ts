import { describe, expect, it } from "vitest";
import { controlSpace, encodeRights, parseControl, SCM_MAX_FD, writeRights } from "./cmsg.ts";

describe("the code for control messages", () => {
  it("lays out SCM_RIGHTS as struct cmsghdr", () => {
    // cmsg_len 24, SOL_SOCKET, SCM_RIGHTS, two descriptors
    expect(encodeRights([5, 6]).toString("hex")).toBe(
      "1800000000000000" + "01000000" + "01000000" + "05000000" + "06000000",
    );
    expect(encodeRights([]).length).toBe(0);
    expect(() => encodeRights(new Array(SCM_MAX_FD + 1).fill(0))).toThrow(RangeError);
  });

  it("reads descriptors followed by credentials", () => {
    const rights = encodeRights([3, 4, 5]);
    const credentials = Buffer.from(
      "1c00000000000000" + "01000000" + "02000000" + "0a000000" + "e8030000" + "64000000",
      "hex",
    );
    const control = Buffer.concat([rights, credentials]);
    expect(rights.length).toBe(controlSpace(12));
    expect(parseControl(control)).toEqual({
      fds: [3, 4, 5],
      credentials: { pid: 10, uid: 1000, gid: 100 },
    });
  });

  it("returns the complete descriptors of a truncated message", () => {
    const control = encodeRights([3, 4, 5]);
    const counts = [16, 19, 20, 23, 24, 27, 28, 32].map(
      (length) => parseControl(control.subarray(0, length)).fds.length,
    );
    expect(counts).toEqual([0, 0, 1, 1, 2, 2, 3, 3]);
    for (let length = 0; length < 16; length++)
      expect(parseControl(control.subarray(0, length)).fds).toEqual([]);
  });

  it("survives a length shorter than the header", () => {
    const control = encodeRights([3]);
    control.writeUInt32LE(1, 0);
    expect(parseControl(control).fds).toEqual([]);
  });

  it("has room for as many descriptors as the kernel accepts", () => {
    expect(SCM_MAX_FD).toBe(253);
    expect(encodeRights(new Array(SCM_MAX_FD).fill(0))).toHaveLength(controlSpace(4 * 253));
  });

  it("overwrites the previous contents of the buffer", () => {
    const control = Buffer.alloc(controlSpace(8), 0xff);
    expect(writeRights(control, [5, 6])).toBe(control.length);
    expect(control).toEqual(encodeRights([5, 6]));
    expect(writeRights(control, [])).toBe(0);
    expect(() => writeRights(control, [5, 6, 7])).toThrow("3 descriptors do not fit");
  });

  it("does not mistake other messages for credentials", () => {
    const message = (level: number, type: number, payloadBytes: number) => {
      const control = Buffer.alloc(controlSpace(payloadBytes));
      control.writeUInt32LE(16 + payloadBytes, 0);
      control.writeInt32LE(level, 8);
      control.writeInt32LE(type, 12);
      return control;
    };
    expect(parseControl(message(1, 2, 12)).credentials).toEqual({ pid: 0, uid: 0, gid: 0 });
    // A message of another level, one of another type (SO_TIMESTAMP), and one that is too short.
    for (const other of [message(0, 2, 12), message(1, 29, 12), message(1, 2, 11)])
      expect(parseControl(other)).toEqual({ fds: [], credentials: undefined });
  });
});
