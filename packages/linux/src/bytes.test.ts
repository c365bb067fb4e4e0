import { describe, expect, it } from "vitest";
import { align, ByteReader, ByteWriter } from "./bytes.ts";

describe("align", () => {
  it("rounds up to the alignment", () => {
    expect([0, 1, 3, 4, 5].map((n) => align(n, 4))).toEqual([0, 4, 4, 4, 8]);
  });
});

describe("ByteWriter and ByteReader", () => {
  it("give back what was written", () => {
    const bytes = new ByteWriter(1)
      .u8(0xfe)
      .alignTo(4)
      .u16(0xfedc)
      .u16(1)
      .u32(0xfedcba98)
      .i32(-2)
      .u64(0xfedcba9876543210n)
      .bytes(Buffer.from("abc"))
      .finish();
    const reader = new ByteReader(bytes);
    expect(reader.u8()).toBe(0xfe);
    reader.alignTo(4);
    expect(reader.u16()).toBe(0xfedc);
    expect(reader.u16()).toBe(1);
    expect(reader.u32()).toBe(0xfedcba98);
    expect(reader.i32()).toBe(-2);
    expect(reader.u64()).toBe(0xfedcba9876543210n);
    expect(reader.bytes(3).toString()).toBe("abc");
    expect(reader.remaining).toBe(0);
  });

  it("refuse to read past the end", () => {
    const reader = new ByteReader(Buffer.alloc(3));
    expect(() => reader.u32()).toThrow(RangeError);
    expect(() => reader.bytes(-1)).toThrow(RangeError);
    expect(reader.offset).toBe(0);
  });

  it("write zeros between other bytes, and keep what was written when they grow", () => {
    const writer = new ByteWriter(2).u8(1).zeros(2).u8(2);
    for (let n = 3; n < 100; n++) writer.u8(n);
    const expected = [1, 0, 0, ...Array.from({ length: 98 }, (_, n) => n + 2)];
    expect([...writer.finish()]).toEqual(expected);
  });

  it("overwrite a length that is known only later", () => {
    const writer = new ByteWriter().u32(0).u16(7);
    writer.setU32(0, writer.length);
    expect(new ByteReader(writer.finish()).u32()).toBe(6);
    expect(() => writer.setU16(5, 0)).toThrow(RangeError);
    expect(() => writer.setU32(4, 0)).toThrow(RangeError);
  });
});
