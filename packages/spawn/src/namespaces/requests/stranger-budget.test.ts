import { describe, expect, it } from "vitest";
import { StrangerBudget } from "./stranger-budget.ts";

describe("the budget for strangers", () => {
  it("is spent by 1,000 strangers within a second, and full again in the next", () => {
    const budget = new StrangerBudget();
    expect(budget.isSpent(0)).toBe(false);
    for (let i = 0; i < 999; i++) budget.spend(5000 + i / 2);
    expect(budget.isSpent(5600)).toBe(false);
    budget.spend(5600);
    expect(budget.isSpent(5600)).toBe(true);
    expect(budget.isSpent(5999)).toBe(true);
    expect(budget.isSpent(6000)).toBe(false);
    budget.spend(6000);
    expect(budget.isSpent(6001)).toBe(false);
  });

  it("is not spent by 1,500 strangers in three seconds", () => {
    const budget = new StrangerBudget();
    for (let i = 0; i < 1500; i++) budget.spend(2 * i);
    expect(budget.isSpent(3000)).toBe(false);
  });
});
