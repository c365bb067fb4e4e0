import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { READ_PAUSE_MS, ReadAhead } from "./read-ahead.ts";

let ends: number;
let readAhead: ReadAhead;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  ends = 0;
  readAhead = new ReadAhead({
    window: { read: () => Promise.resolve({ records: [], damaged: [] }) },
    lineup: { ready: 0, readyBytes: 0, get: () => undefined },
    onRead: () => {},
    onDamaged: () => {},
    onFailure: () => {},
    onEnd: () => ends++,
  });
});

afterEach(() => {
  vi.useRealTimers();
});

it("tries again once, after a pause, however many reads have failed", () => {
  for (let i = 0; i < 3; i++) readAhead.failed(new Error("EIO"));
  vi.advanceTimersByTime(READ_PAUSE_MS);
  expect(ends).toBe(1);
});

it("tries again in time even if other reads fail meanwhile", () => {
  for (let ms = 0; ms < 10 * READ_PAUSE_MS; ms += READ_PAUSE_MS / 2) {
    readAhead.failed(new Error("EIO"));
    vi.advanceTimersByTime(READ_PAUSE_MS / 2);
  }
  expect(ends).toBeGreaterThanOrEqual(5);
});

it("does not try again when it is closed", () => {
  for (let i = 0; i < 3; i++) readAhead.failed(new Error("EIO"));
  readAhead.close();
  vi.advanceTimersByTime(READ_PAUSE_MS);
  expect(ends).toBe(0);
});
