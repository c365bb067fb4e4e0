import { describe, expect, it } from "vitest";
import { daysBetween, parseDay } from "./options.ts";

describe("parseDay", () => {
  it.each(["2026-01-31", "2024-02-29"])("takes %s", (text) => expect(parseDay(text)).toBe(text));
  it.each(["2026-02-29", "2026-13-01", "2026-1-1", "today", "", "2026-01-31T00:00"])(
    "refuses %j",
    (text) => expect(parseDay(text)).toBeUndefined(),
  );
});

it("daysBetween has both ends, over the end of a month", () => {
  expect(daysBetween("2026-02-27", "2026-03-01")).toEqual([
    "2026-02-27",
    "2026-02-28",
    "2026-03-01",
  ]);
  expect(daysBetween("2026-03-01", "2026-03-01")).toEqual(["2026-03-01"]);
});
