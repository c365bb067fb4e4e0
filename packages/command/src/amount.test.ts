import { expect, it } from "vitest";
import { amount, amountIs } from "./amount.ts";

it.each([
  [0, "0 cgroups", "0 cgroups are"],
  [1, "1 cgroup", "1 cgroup is"],
  [2, "2 cgroups", "2 cgroups are"],
])("noun and verb agree with the number %d", (number, words, beginning) => {
  expect(amount(number, "cgroup")).toBe(words);
  expect(amountIs(number, "cgroup")).toBe(beginning);
});
