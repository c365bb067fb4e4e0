import { describe, expect, it } from "vitest";
import { watchdogIntervalMs } from "./notify.ts";

describe("watchdogIntervalMs", () => {
  it.each([
    [{ WATCHDOG_USEC: "30000000" }, 30_000],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "42" }, 30_000],
    [{ WATCHDOG_USEC: "1500" }, 1.5],
    [{ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "41" }, undefined],
    [{ WATCHDOG_USEC: "0" }, undefined],
    [{ WATCHDOG_USEC: "-1" }, undefined],
    [{ WATCHDOG_USEC: "soon" }, undefined],
    [{ WATCHDOG_PID: "42" }, undefined],
    [{}, undefined],
  ])("of %j is %j", (env, expected) => {
    expect(watchdogIntervalMs(env, 42)).toBe(expected);
  });
});
