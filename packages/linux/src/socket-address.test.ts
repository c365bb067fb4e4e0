import { describe, expect, it } from "vitest";
import { encodeUnixAddress } from "./socket-address.ts";

describe("encodeUnixAddress", () => {
  it("encodes an abstract name without a trailing NUL", () => {
    expect(encodeUnixAddress("@ab")).toEqual(Buffer.from([1, 0, 0, 0x61, 0x62]));
  });

  it("encodes a path with its NUL", () => {
    expect(encodeUnixAddress("/a")).toEqual(Buffer.from([1, 0, 0x2f, 0x61, 0]));
  });

  it("encodes a path of any bytes", () => {
    const bytes = Buffer.of(0x2f, 0xff, 0x80);
    expect(encodeUnixAddress(bytes)).toEqual(Buffer.of(1, 0, 0x2f, 0xff, 0x80, 0));
  });

  it("refuses an address that does not fit", () => {
    expect(() => encodeUnixAddress("")).toThrow(RangeError);
    expect(encodeUnixAddress(`/${"x".repeat(106)}`).length).toBe(110);
    expect(() => encodeUnixAddress(`/${"x".repeat(107)}`)).toThrow(RangeError);
    expect(encodeUnixAddress(`@${"x".repeat(107)}`).length).toBe(110);
    expect(() => encodeUnixAddress(`@${"x".repeat(108)}`)).toThrow(RangeError);
  });
});
