import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { SharedCall } from "./shared-call.ts";

const BURST = 3;
const MANY = 1000;

/** Calls that end only on request. */
class Calls {
  readonly #ends: ((error?: Error) => void)[] = [];
  count = 0;
  readonly work = () => {
    const number = ++this.count;
    return new Promise<number>((resolve, reject) =>
      this.#ends.push((error) => (error === undefined ? resolve(number) : reject(error))),
    );
  };
  end(error?: Error): void {
    this.#ends.shift()?.(error);
  }
}

/** Allows as many calls as the test sets, whatever the time is. */
class ManualAllowance {
  left: number;
  constructor(left: number) {
    this.left = left;
  }
  tryTake(): boolean {
    return this.left > 0 && this.left-- > 0;
  }
  waitMs(): number {
    return 1;
  }
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

describe("a shared call", () => {
  it("is made once for all who ask while another call runs, and begins after they have asked", async () => {
    const calls = new Calls();
    const shared = new SharedCall(calls.work, new ManualAllowance(100), MANY);
    const first = shared.get();
    const others = Array.from({ length: 100 }, () => shared.get());
    await settle();
    expect(calls.count).toBe(1);
    calls.end();
    expect(await first).toBe(1);
    await settle();
    expect(calls.count).toBe(2);
    const later = shared.get();
    calls.end();
    expect(new Set(await Promise.all(others))).toEqual(new Set([2]));
    await settle();
    calls.end();
    expect(await later).toBe(3);
    await settle();
    const last = shared.get();
    calls.end();
    expect(await last).toBe(4);
  });

  it("that fails is rejected for all who share it, and the next call is made", async () => {
    const calls = new Calls();
    const shared = new SharedCall(calls.work, new ManualAllowance(100), MANY);
    const first = shared.get();
    const second = shared.get();
    calls.end(new Error("no"));
    await expect(first).rejects.toThrow("no");
    await settle();
    calls.end();
    expect(await second).toBe(2);
  });

  it("begins once for all who ask before it may begin, and only after all of them have asked", async () => {
    const allowance = new ManualAllowance(BURST);
    let count = 0;
    const shared = new SharedCall(async () => ++count, allowance, MANY);
    for (let i = 1; i <= BURST; i++) expect(await shared.get()).toBe(i);
    const early = shared.get();
    await sleep(10);
    const late = shared.get();
    expect(count).toBe(BURST);
    allowance.left = 2;
    expect(await Promise.all([early, late])).toEqual([BURST + 1, BURST + 1]);
  });

  it("is the latest call, even if it has ended, for all who ask while too many wait", async () => {
    const allowance = new ManualAllowance(1);
    let count = 0;
    const shared = new SharedCall(async () => ++count, allowance, 2);
    expect(await shared.get()).toBe(1);
    const waiting = [shared.get(), shared.get()];
    expect(await shared.get()).toBe(1);
    allowance.left = 2;
    expect(await Promise.all(waiting)).toEqual([2, 2]);
    expect(await shared.get()).toBe(3);
  });
});
