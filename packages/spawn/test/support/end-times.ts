/** Measures how long daemons take to end on SIGTERM, for each state into which a test puts them. */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";
import { afterAll, expect } from "vitest";
import type { TestDaemon } from "./daemon.ts";

/** The time within which the daemon has to end, whatever hangs. */
const LIMIT_MS = 1500;

/** The limit even on the busiest machine: far less than a daemon that hangs would take. */
export const PATIENCE_MS = 6000;

/** The number of times each test is repeated; `npx vitest run test/stop` prints the results. */
export const REPEATS = Number(process.env["STOP_REPEATS"] ?? 0);

/** The times that a test file measures. Prints them as a table after all tests of the file. */
export class EndTimes {
  readonly #times = new Map<string, number[]>();

  constructor() {
    afterAll(() => this.#print());
  }

  /** Ends the daemon with SIGTERM, and records how long that takes. The daemon must end in time. */
  async expectEnd(daemon: TestDaemon, statuses: readonly unknown[] = [0]): Promise<void> {
    let status: unknown;
    await this.measure(async () => {
      status = await daemon.end("SIGTERM");
    });
    expect(statuses).toContain(status);
  }

  /**
   * Records how long a daemon takes to end. The daemon must end in time.
   * @param ending resolves when the daemon has ended
   */
  async measure(ending: () => Promise<void>): Promise<void> {
    const startMs = performance.now();
    const startStalledMs = tryReadStalledMs();
    await ending();
    const durationMs = performance.now() - startMs;
    const state = expect.getState().currentTestName ?? "";
    this.#times.set(state, [...(this.#times.get(state) ?? []), durationMs]);
    // The limit grows by the time for which any process on the machine was stalled.
    const stalledMs = tryReadStalledMs();
    const limitMs =
      startStalledMs === undefined || stalledMs === undefined
        ? PATIENCE_MS
        : LIMIT_MS + stalledMs - startStalledMs;
    expect(durationMs).toBeLessThan(Math.min(limitMs, PATIENCE_MS));
  }

  #print(): void {
    for (const [state, times] of this.#times) {
      times.sort((a, b) => a - b);
      const [medianMs = 0, mostMs = 0] = [times[times.length >> 1], times.at(-1)];
      const figures = [medianMs, mostMs].map((ms) => `${Math.round(ms)} ms`.padStart(8)).join("");
      console.log(`${figures} (median, maximum of ${times.length} stops): ${state}`);
    }
  }
}

/**
 * Returns for how many milliseconds, since the system was booted, some process has waited for a
 * processor or a disk; undefined if the kernel does not measure this time.
 * @see https://docs.kernel.org/accounting/psi.html
 */
function tryReadStalledMs(): number | undefined {
  try {
    const micros = ["cpu", "io"].map((resource) => {
      const text = readFileSync(`/proc/pressure/${resource}`, "latin1");
      return Number(/^some .*total=(\d+)$/m.exec(text)?.[1]);
    });
    return micros.reduce((sum, each) => sum + each) / 1000;
  } catch (error) {
    // The kernel was built or booted without pressure stall information.
    if (isErrno(error, "ENOENT", "EOPNOTSUPP")) return undefined;
    throw error;
  }
}
