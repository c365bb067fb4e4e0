import { expect, it } from "vitest";
import { ByteBudget } from "./byte-budget.ts";

it("has room until all bytes are taken; the last caller may take more than are left", () => {
  const budget = new ByteBudget(10);
  expect(budget.hasRoom).toBe(true);
  budget.take(9);
  expect(budget.hasRoom).toBe(true);
  budget.take(90);
  expect(budget.hasRoom).toBe(false);
  budget.giveBack(89);
  expect(budget.hasRoom).toBe(false);
  budget.giveBack(1);
  expect(budget.hasRoom).toBe(true);
});

it("lets in waiting callers one by one, each once the previous one has taken its bytes", async () => {
  const budget = new ByteBudget(10);
  budget.take(10);
  const admitted: string[] = [];
  const wait = async (name: string) => {
    await budget.room();
    admitted.push(name);
  };
  const all = [wait("a"), wait("b"), wait("c")];
  const later = () => new Promise((resolve) => setImmediate(resolve));
  await later();
  expect(admitted).toEqual([]);
  budget.giveBack(10);
  budget.giveBack(0);
  await later();
  expect(admitted).toEqual(["a"]);
  budget.take(5);
  await later();
  expect(admitted).toEqual(["a", "b"]);
  budget.take(5);
  await later();
  expect(admitted).toEqual(["a", "b"]);
  budget.giveBack(1);
  await Promise.all(all);
  expect(admitted).toEqual(["a", "b", "c"]);
});
