import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, expect, it, vi } from "vitest";
import { findOutdated } from "./outdated-records.ts";

afterEach(() => vi.restoreAllMocks());

const figures = { path: bytesOfText("/a"), id: "boot:1", measuredMs: 0 };

/** Returns a record as the reaper encodes it: the report is the last key of the snapshot. */
const last = (report: number) => encodeRecord({ snapshot: { ...figures, report }, xattrs: [] });
const first = (report: number) => encodeRecord({ snapshot: { report, ...figures }, xattrs: [] });

it("finds outdated records, and parses none of those that cannot outdate others", async () => {
  const journal = await Journal.open(new SimulatedDisk(() => 0.5));
  const append = async ({ json }: { json: string }) => {
    const number = await journal.append(Buffer.from(json));
    await journal.mark(number, RecordState.PARKED);
    return number;
  };
  const earlier = [await append(last(1)), await append(first(1))];
  const parse = vi.spyOn(JSON, "parse");
  expect(await findOutdated(journal)).toEqual(new Set());
  expect(parse).not.toHaveBeenCalled();
  await append(last(12));
  expect(await findOutdated(journal)).toEqual(new Set(earlier));
  expect(await findOutdated(journal, earlier.slice(1))).toEqual(new Set(earlier.slice(1)));
  await journal.close();
});
