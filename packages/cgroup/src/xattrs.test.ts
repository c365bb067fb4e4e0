import { bytesOfLatin1, latin1Of } from "@cm4all/linux";
import { expect, it } from "vitest";
import type { XattrTable } from "./snapshot.ts";
import { limitXattrs } from "./xattrs.ts";

/** Returns a table of attributes. @param sizes the sizes of the values, by name */
const table = (sizes: Record<string, number>): XattrTable =>
  Object.entries(sizes).map(([name, size]) => [
    bytesOfLatin1(name),
    bytesOfLatin1("v".repeat(size)),
  ]);

const names = (tables: readonly XattrTable[]) =>
  tables.map((each) => each.map(([name]) => latin1Of(name)));

it("leaves out the empty tables at the end, and no others", () => {
  const tables = [table({}), table({ "user.a": 1 }), table({}), table({})];
  expect(names(limitXattrs(tables))).toEqual([[], ["user.a"]]);
  expect(limitXattrs([table({}), table({})])).toEqual([]);
  expect(limitXattrs([])).toEqual([]);
});

it("keeps the attributes of the highest cgroups if all together are too large for a record", () => {
  const near = table({ "user.a": 4090, "user.b": 4090 });
  const far = table(Object.fromEntries(Array.from({ length: 64 }, (_, i) => [`user.${i}`, 4080])));
  const limited = limitXattrs([near, far, table({ "user.small": 10 }), table({ "user.c": 4090 })]);
  expect(names(limited)[0]).toEqual([]);
  expect(limited[1]?.length).toBeGreaterThan(60);
  expect(limited[1]?.length).toBeLessThan(64);
  expect(names(limited).slice(2)).toEqual([["user.small"], ["user.c"]]);
  // JSON adds at most ten bytes of punctuation for each of fewer than 70 attributes.
  const bytes = JSON.stringify(limited).length;
  expect(bytes).toBeLessThan(256 * 1024 + 70 * 10);
});
