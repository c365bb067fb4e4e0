import { describe, expect, it } from "vitest";
import { pollUntil } from "./wait.ts";

describe("pollUntil", () => {
  it("finds a quick answer without a timer", async () => {
    const startMs = performance.now();
    let attempts = 0;
    expect(await pollUntil(startMs + 1000, () => (++attempts === 10 ? "yes" : undefined))).toBe(
      "yes",
    );
    // With a timer between the attempts it would be 130 ms.
    expect(performance.now() - startMs).toBeLessThan(60);
  });

  it("looks less often for a slow one", async () => {
    const startMs = performance.now();
    let lateAttempts = 0;
    const result = await pollUntil(startMs + 300, () => {
      if (performance.now() > startMs + 100) ++lateAttempts;
      return undefined;
    });
    expect(result).toBeUndefined();
    expect(lateAttempts).toBeGreaterThan(1);
    expect(lateAttempts).toBeLessThan(15);
  });

  it("tries once where there is no time at all", async () => {
    expect(await pollUntil(0, () => 7)).toBe(7);
    expect(await pollUntil(0, () => undefined)).toBeUndefined();
  });
});
