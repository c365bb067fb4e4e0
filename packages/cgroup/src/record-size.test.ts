import { bytesOfLatin1 } from "@cm4all/linux";
import { expect, it } from "vitest";
import { encodeRecord } from "./record.ts";
import { recordSize, tableSize } from "./record-size.ts";

const sizeWith = (value: string) => {
  const snapshot = { path: bytesOfLatin1("/a"), id: "a", report: 1, measuredMs: 0 };
  const xattrs = [[[bytesOfLatin1("user.a"), bytesOfLatin1(value)] as const]];
  return recordSize(encodeRecord({ snapshot, xattrs }));
};

it.each(['"', "\\", "\n"])("counts two bytes for each character if %j is among them", (wide) => {
  const narrow = "\xff".repeat(100_000);
  expect(sizeWith(narrow)).toBeGreaterThan(100_000);
  expect(sizeWith(narrow)).toBeLessThan(101_000);
  expect(sizeWith(narrow + wide)).toBeGreaterThan(200_000);
  expect(sizeWith(narrow + wide)).toBeLessThan(202_000);
});

it("counts the bytes in the names and values of attributes", () => {
  const pair = (name: string, value: string) =>
    [bytesOfLatin1(name), bytesOfLatin1(value)] as const;
  expect(tableSize([])).toBe(0);
  expect(tableSize([pair("user.a", "\xff\xfe"), pair("user.bc", "")])).toBe(15);
});
