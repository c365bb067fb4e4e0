import { describe, expect, it } from "vitest";
import { TextBudget } from "./text-budget.ts";

const take = (budget: TextBudget, count: number, bytes: number, nowMs: number) => {
  const verdicts: Record<string, number> = {};
  for (let i = 0; i < count; i++) {
    const verdict = budget.take(bytes, nowMs);
    verdicts[verdict] = (verdicts[verdict] ?? 0) + 1;
  }
  return verdicts;
};

describe("TextBudget", () => {
  it("lets a thousand messages pass in ten seconds, and counts the others", () => {
    const budget = new TextBudget();
    expect(take(budget, 1500, 10, 5)).toEqual({ passes: 1000, "left out": 500 });
    expect(budget.takeLeftOut(10_004)).toBeUndefined();
    expect(budget.takeLeftOut(10_005)).toBe(500);
    expect(budget.takeLeftOut(10_005)).toBeUndefined();
    expect(take(budget, 1500, 10, 10_005)).toEqual({ passes: 1000, "left out": 500 });
    expect(budget.takeAllLeftOut()).toBe(500);
    expect(budget.takeAllLeftOut()).toBe(0);
  });

  it("lets a mebibyte pass", () => {
    expect(take(new TextBudget(), 100, 16_384, 0)).toEqual({ passes: 64, "left out": 36 });
  });

  it("reports a flood after 100,000 messages or 64 MiB", () => {
    expect(take(new TextBudget(), 100_010, 1, 0)).toMatchObject({ flood: 10 });
    expect(take(new TextBudget(), 5000, 16_384, 0)).toMatchObject({ flood: 904 });
  });
});
