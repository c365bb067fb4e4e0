import { describe, expect, it } from "vitest";
import { controlSpace, encodeRights, parseControl, SCM_MAX_FD } from "./cmsg.ts";

describe("control messages", () => {
  it("lays out SCM_RIGHTS as struct cmsghdr", () => {
    // cmsg_len 24, SOL_SOCKET, SCM_RIGHTS, two descriptors
    expect(encodeRights([5, 6]).toString("hex")).toBe(
      "1800000000000000" + "01000000" + "01000000" + "05000000" + "06000000",
    );
    expect(encodeRights([]).length).toBe(0);
    expect(() => encodeRights(new Array(SCM_MAX_FD + 1).fill(0))).toThrow(RangeError);
  });

  it("reads descriptors and credentials after one another", () => {
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

  it("gives the descriptors of a message that was cut, as many as are there", () => {
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
});
