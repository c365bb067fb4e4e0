/** Measures how long daemons take to end on SIGTERM, by the state they are in. */
import { afterAll, expect } from "vitest";
import type { TestDaemon } from "./daemon.ts";

/** Far above 1.5 s, for busy machines, and far below the time of a daemon that hangs. */
export const PATIENCE_MS = 6000;

/** How often each state is repeated, for figures; `npx vitest run test/stop` prints them. */
export const REPEATS = Number(process.env["STOP_REPEATS"] ?? 0);

/** The times of one file of tests; prints a table at its end. */
export class EndTimes {
  readonly #times = new Map<string, number[]>();

  constructor() {
    afterAll(() => this.#print());
  }

  /** Ends the daemon, which has to end in time, and records how long that takes. */
  async expectEnd(daemon: TestDaemon, statuses: readonly unknown[] = [0]): Promise<void> {
    const startMs = performance.now();
    const status = await daemon.end("SIGTERM");
    this.add(performance.now() - startMs);
    expect(statuses).toContain(status);
  }

  add(durationMs: number): void {
    const state = expect.getState().currentTestName ?? "";
    this.#times.set(state, [...(this.#times.get(state) ?? []), durationMs]);
    expect(durationMs).toBeLessThan(PATIENCE_MS);
  }

  #print(): void {
    for (const [state, times] of this.#times) {
      times.sort((a, b) => a - b);
      const [medianMs = 0, mostMs = 0] = [times[times.length >> 1], times.at(-1)];
      const figures = [medianMs, mostMs].map((ms) => `${Math.round(ms)} ms`.padStart(8)).join("");
      console.log(`${figures} at most, ${times.length} times: ${state}`);
    }
  }
}
