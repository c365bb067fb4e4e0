import { describe, expect, it } from "vitest";
import { StrangerBudget } from "./stranger-budget.ts";

describe("the budget for strangers", () => {
  it("is spent after 4,000 within a second, and there again in the next one", () => {
    const budget = new StrangerBudget();
    expect(budget.isSpent(0)).toBe(false);
    for (let i = 0; i < 3999; i++) budget.spend(5000 + i / 8);
    expect(budget.isSpent(5600)).toBe(false);
    budget.spend(5600);
    expect(budget.isSpent(5600)).toBe(true);
    expect(budget.isSpent(5999)).toBe(true);
    expect(budget.isSpent(6000)).toBe(false);
    budget.spend(6000);
    expect(budget.isSpent(6001)).toBe(false);
  });

  it("is not spent by 4,000 in two seconds", () => {
    const budget = new StrangerBudget();
    for (let i = 0; i < 6000; i++) budget.spend(i / 2);
    expect(budget.isSpent(3000)).toBe(false);
  });
});
