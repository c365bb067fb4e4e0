import { describe, expect, it } from "vitest";
import { daysBetween, isDatabase, parseDay } from "./options.ts";

describe("parseDay", () => {
  it.each(["2026-01-31", "2024-02-29", "0001-01-01", "9999-12-31"])("takes %s", (text) =>
    expect(parseDay(text)).toBe(text),
  );
  it.each(["2026-02-29", "2026-13-01", "2026-1-1", "today", "", "2026-01-31T00:00", "0000-01-01"])(
    "refuses %j",
    (text) => expect(parseDay(text)).toBeUndefined(),
  );
});

it("daysBetween includes both ends, even across the end of a month", () => {
  expect(daysBetween("2026-02-27", "2026-03-01")).toEqual([
    "2026-02-27",
    "2026-02-28",
    "2026-03-01",
  ]);
  expect(daysBetween("2026-03-01", "2026-03-01")).toEqual(["2026-03-01"]);
  expect(daysBetween("9999-12-30", "9999-12-31")).toEqual(["9999-12-30", "9999-12-31"]);
});

it.each([
  "accounting",
  "bills-2026",
  "postgres://host/db?sslmode=require",
  "POSTGRESQL://user:password@host/db",
])("isDatabase takes %s", (database) => expect(isDatabase(database)).toBe(true));

it.each(["host=db password=secret", "dbname=bills", "mysql://user:secret@host/db"])(
  "isDatabase refuses %s",
  (database) => expect(isDatabase(database)).toBe(false),
);
