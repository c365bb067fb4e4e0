import { expect, it } from "vitest";
import { REAPER_METRICS } from "./metrics.ts";

const MIB = 1_048_576;

it("peak memory has buckets from 1 MiB to 64 GiB, each four times as large as the one before", () => {
  const { bounds } = REAPER_METRICS.scopeMemoryPeakBytes;
  expect([bounds[0], bounds.at(-1)]).toEqual([MIB, 65_536 * MIB]);
  expect(bounds.slice(1)).toEqual(bounds.slice(0, -1).map((bound) => 4 * bound));
});
