import { describe, expect, it } from "vitest";
import { argumentOfBytes, bytesOfArgument } from "./arguments.ts";

describe("arguments that may be any bytes", () => {
  it("keep each byte, and are text if they are UTF-8", () => {
    for (const text of ["", "plain", "ä€🎉", "\ufffd", "a\ufeffb"]) {
      expect(argumentOfBytes(Buffer.from(text))).toBe(text);
      expect(bytesOfArgument(text)).toEqual(Buffer.from(text));
    }
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    // Invalid UTF-8: an overlong form, a surrogate, a truncated sequence, a code point above
    // U+10FFFF, two invalid bytes in a row, and an invalid byte before a character.
    const bad = ["c080", "eda080", "e282", "f4908080", "ff80", "c3c3a4"].map((hex) =>
      Buffer.from(hex, "hex"),
    );
    for (const bytes of [all, ...bad]) {
      const text = argumentOfBytes(bytes);
      expect(text).toMatch(/[\udc80-\udcff]/u);
      expect(bytesOfArgument(text)).toEqual(bytes);
    }
    expect(argumentOfBytes(Buffer.from("c3c3a4", "hex"))).toBe("\udcc3ä");
  });
});
