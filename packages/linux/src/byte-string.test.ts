import { describe, expect, it } from "vitest";
import {
  bufferOf,
  bytesOf,
  bytesOfLatin1,
  bytesOfText,
  concatBytes,
  joinPath,
  latin1Of,
  nodePathOf,
  splitPath,
  textOf,
} from "./byte-string.ts";

const every = Buffer.from([...Array(256).keys()]);

describe("byte strings", () => {
  it("can hold any byte", () => {
    expect(bufferOf(bytesOf(every))).toEqual(every);
    expect(latin1Of(bytesOf(every)).length).toBe(256);
  });

  it("do not change with the buffer from which they were made", () => {
    const buffer = Buffer.from("ab");
    const bytes = bytesOf(buffer.subarray(1));
    buffer.fill("x");
    expect(latin1Of(bytes)).toBe("b");
  });

  it("can be converted from and to UTF-8 text", () => {
    expect(latin1Of(bytesOfText("ä€"))).toBe("\xc3\xa4\xe2\x82\xac");
    expect(textOf(bytesOfText("ä€"))).toBe("ä€");
    expect(textOf(bytesOfLatin1("a\xff"))).toBe("a\ufffd");
  });

  it("can be joined, and split if they are paths", () => {
    const path = joinPath(bytesOfText("/a"), bytesOfLatin1("\xe9"));
    expect(latin1Of(path)).toBe("/a/\xe9");
    expect(splitPath(path)).toEqual({ directory: "/a", name: "\xe9" });
    expect(splitPath(bytesOfText("/a"))).toEqual({ directory: "", name: "a" });
    expect(splitPath(bytesOfText("abc"))).toEqual({ directory: "", name: "abc" });
    expect(concatBytes(path, bytesOfText("/b"))).toBe("/a/\xe9/b");
  });

  it("reach Node as the same bytes", () => {
    for (const bytes of [bytesOfText("/plain"), bytesOfText("/ä"), bytesOfLatin1("/\x80")])
      expect(Buffer.from(nodePathOf(bytes) as string)).toEqual(bufferOf(bytes));
  });
});
