import { encodeRecord } from "@cm4all/cgroup";
import { Journal, RecordState } from "@cm4all/journal";
import { SimulatedDisk } from "@cm4all/journal/simulated-disk";
import { bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { findByIds } from "./journal-lookup.ts";

let journal: Journal;

beforeEach(async () => {
  journal = await Journal.open(new SimulatedDisk(() => 0.5));
});

afterEach(async () => {
  vi.restoreAllMocks();
  await journal.close();
});

function append(id: string, report: number, cpuTotalUsec?: number, attribute = "") {
  const snapshot = { path: bytesOfText(`/${id}`), id, report, measuredMs: 0, cpuTotalUsec };
  const xattrs = [[[bytesOfText("user.a"), bytesOfText(attribute)] as const]];
  return journal.append(Buffer.from(encodeRecord({ snapshot, xattrs }).json));
}

it("finds the records of cgroups, oldest first, with the fields that are compared with later reports", async () => {
  const first = await append("boot:1", 1, 100);
  await append("boot:2", 1, 200);
  const second = await append("boot:1", 2, 300);
  const other = await append("boot:3", 1);
  expect(await findByIds(journal, new Set(["boot:1", "boot:3", "boot:4"]))).toEqual(
    new Map([
      [
        "boot:1",
        [
          { number: first, report: 1, cpuTotalUsec: 100 },
          { number: second, report: 2, cpuTotalUsec: 300 },
        ],
      ],
      ["boot:3", [{ number: other, report: 1, cpuTotalUsec: undefined }]],
    ]),
  );
});

it("is not misled by attributes of other cgroups, which contain text from customers", async () => {
  await append("boot:1", 1, 1, '"id":"boot:2"');
  expect(await findByIds(journal, new Set(["boot:2"]))).toEqual(new Map());
  expect([...(await findByIds(journal, new Set(["boot:1"]))).keys()]).toEqual(["boot:1"]);
});

it("leaves out entries that are not records of this version, or are gone", async () => {
  await journal.append(Buffer.from('{"id":"boot:1"}'));
  await journal.append(Buffer.from("no JSON"));
  const gone = await append("boot:1", 1);
  await journal.mark(gone, RecordState.GONE);
  const kept = await append("boot:1", 2);
  const found = await findByIds(journal, new Set(["boot:1"]));
  expect(found.get("boot:1")?.map(({ number }) => number)).toEqual([kept]);
});

it("parses no record of another cgroup: there may be a million", async () => {
  await append("boot:1", 1);
  const parse = vi.spyOn(JSON, "parse");
  await findByIds(journal, new Set(["boot:2"]));
  // All other calls parse the headers of the journal's files.
  expect(parse.mock.calls.filter(([text]) => text.includes("boot:1"))).toEqual([]);
});

it("does not read the journal if there is nothing to look for, or nothing in it", async () => {
  const visit = vi.spyOn(journal, "visit");
  expect(await findByIds(journal, new Set(["boot:1"]))).toEqual(new Map());
  await append("boot:1", 1);
  expect(await findByIds(journal, new Set())).toEqual(new Map());
  expect(visit).not.toHaveBeenCalled();
});
