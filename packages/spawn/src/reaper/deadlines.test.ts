import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { Deadlines, Queue } from "./deadlines.ts";

it("returns items in order, even if there are many", () => {
  const queue = new Queue<number>();
  let taken = 0;
  for (let i = 0; i < 2000; i++) {
    queue.add(2 * i);
    queue.add(2 * i + 1);
    expect(queue.take()).toBe(taken++);
  }
  expect(queue.length).toBe(2000);
  while (queue.length > 0) expect(queue.take()).toBe(taken++);
  expect(queue.take()).toBeUndefined();
  expect(queue.next).toBeUndefined();
});

it("returns the next item and the number of items, before and after items are taken", () => {
  const queue = new Queue<string>();
  queue.add("a");
  queue.add("b");
  expect([queue.next, queue.length]).toEqual(["a", 2]);
  expect(queue.take()).toBe("a");
  queue.add("c");
  expect([queue.next, queue.length]).toEqual(["b", 2]);
  expect(queue.take()).toBe("b");
  expect([queue.next, queue.length]).toEqual(["c", 1]);
});

it("keeps no reference to an item that was taken, even if others are left", () => {
  const queue = new Queue<object>();
  const first = new WeakRef({});
  queue.add(first.deref() ?? {});
  queue.add({});
  queue.take();
  setFlagsFromString("--expose-gc");
  return new Promise<void>((resolve) => setImmediate(resolve)).then(() => {
    // After deref(), a weak reference keeps its object alive until the turn ends.
    runInNewContext("gc")();
    expect(queue.length).toBe(1);
    expect(first.deref()).toBeUndefined();
  });
});

it("returns items that are due, and the time of the next", () => {
  const deadlines = new Deadlines<string>(50);
  expect(deadlines.nextMs).toBe(Number.POSITIVE_INFINITY);
  deadlines.add("a", 0);
  deadlines.add("b", 10);
  expect(deadlines.nextMs).toBe(50);
  expect(deadlines.take(49.9)).toBeUndefined();
  expect(deadlines.take(50)).toBe("a");
  expect(deadlines.take(50)).toBeUndefined();
  expect(deadlines.nextMs).toBe(60);
  expect(deadlines.take(1000)).toBe("b");
});
