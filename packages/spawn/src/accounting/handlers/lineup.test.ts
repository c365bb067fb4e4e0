import { encodeRecord } from "@cm4all/cgroup";
import { bytesOfText } from "@cm4all/linux";
import { beforeEach, describe, expect, it } from "vitest";
import { type Entry, newEntry } from "./entry.ts";
import { Lineup, runsAlone } from "./lineup.ts";

let lineup: Lineup;

beforeEach(() => {
  lineup = new Lineup();
});

/** Returns the entry of a cgroup's report. @param fields what differs from a new entry */
function entryOf(number: number, id = `boot:${number}`, fields: Partial<Entry> = {}): Entry {
  const snapshot = { path: bytesOfText(`/${id}`), id, report: 1, measuredMs: 0 };
  const record = encodeRecord({ snapshot, xattrs: [] });
  return { ...newEntry({ number, record, bytes: 500 }), ...fields };
}

function add(...entries: Entry[]): void {
  for (const entry of entries) lineup.add(entry);
}

const numbersOf = (entries: readonly Entry[]) => entries.map(({ number }) => number);
const isBusy =
  (...ids: string[]) =>
  (id: string) =>
    ids.includes(id);

/** Takes the next records, and returns their numbers. */
function take(count = 10, busy: readonly string[] = [], isIdle = true): number[] {
  return numbersOf(lineup.take(count, isBusy(...busy), isIdle));
}

/** Takes this record, which is the next one; its handler then runs. */
function run(entry: Entry): void {
  expect(take(1)).toEqual([entry.number]);
  entry.isRunning = true;
}

describe("records", () => {
  it("are taken once, in order, up to the number that is asked for", () => {
    add(entryOf(1), entryOf(2), entryOf(3));
    expect([lineup.ready, lineup.readyBytes]).toEqual([3, 1500]);
    expect([take(2), take(2), take(2)]).toEqual([[1, 2], [3], []]);
    expect([lineup.ready, lineup.readyBytes]).toEqual([0, 0]);
  });

  it("are taken up to the one with which the list reaches 4 MiB", () => {
    const bytes = 2 * 1024 * 1024;
    add(...[1, 2, 3].map((number) => entryOf(number, undefined, { bytes })));
    expect(take()).toEqual([1, 2]);
    add(entryOf(4, undefined, { bytes: 2 * bytes - 1 }), entryOf(5), entryOf(6));
    expect(take()).toEqual([3, 4]);
    expect(take()).toEqual([5, 6]);
    // The first record is one byte smaller than 4 MiB.
    add(entryOf(7, undefined, { bytes: 2 * bytes - 1 }), entryOf(8), entryOf(9));
    expect(take()).toEqual([7, 8]);
  });

  it("of a cgroup that already has a running handler are left where they are", () => {
    add(entryOf(1), entryOf(2), entryOf(3));
    expect(take(10, ["boot:1", "boot:2"])).toEqual([3]);
    expect(take()).toEqual([1, 2]);
  });

  it("are put back after all others, unless they have been removed", () => {
    const [first, second, third] = [entryOf(1), entryOf(2), entryOf(3)];
    add(first, second, third);
    expect(take(2)).toEqual([1, 2]);
    lineup.remove(first);
    lineup.putBack([first, second]);
    expect(take()).toEqual([3, 2]);
    expect([lineup.get(1), lineup.get(2)]).toEqual([undefined, second]);
  });

  it("whose handlers failed are each taken alone", () => {
    const failed = { failures: 1 };
    add(entryOf(1), entryOf(2, undefined, failed), entryOf(3, undefined, failed), entryOf(4));
    expect([take(), take(), take(), take()]).toEqual([[1], [2], [3], [4]]);
  });

  it("that were interrupted twice are taken alone, and only while no handler runs", () => {
    const suspicious = { interruptions: 2 };
    add(entryOf(1, undefined, { interruptions: 1 }), entryOf(2), entryOf(3, undefined, suspicious));
    add(entryOf(4));
    expect(take()).toEqual([1, 2]);
    expect(take(10, [], false)).toEqual([]);
    expect([take(), take()]).toEqual([[3], [4]]);
    expect([0, 1, 2].map((interruptions) => runsAlone(entryOf(1, "a", { interruptions })))).toEqual(
      [false, false, true],
    );
  });
});

describe("of two waiting reports of a cgroup", () => {
  it("the later is taken, whichever came first", () => {
    const [earlier, later] = [entryOf(1, "a"), entryOf(2, "a")];
    expect(lineup.add(earlier)).toBeUndefined();
    expect(lineup.add(later)).toBe(earlier);
    lineup.remove(earlier);
    expect(take()).toEqual([2]);
    expect([lineup.get(2), lineup.hasId("a")]).toEqual([later, true]);

    lineup = new Lineup();
    lineup.add(later);
    expect(lineup.add(earlier)).toBe(earlier);
    lineup.remove(earlier);
    expect([lineup.hasId("a"), take()]).toEqual([true, [2]]);
  });

  it("nothing is left when both are removed", () => {
    const [earlier, later] = [entryOf(1, "a"), entryOf(2, "a")];
    add(earlier, later);
    lineup.remove(earlier);
    lineup.remove(later);
    expect([lineup.hasId("a"), lineup.ready, lineup.get(2)]).toEqual([false, 0, undefined]);
    expect(lineup.add(entryOf(3, "a"))).toBeUndefined();
  });
});

describe("a report that comes while the handler of another report of its cgroup runs", () => {
  let running: Entry;

  beforeEach(() => {
    running = entryOf(1, "a");
    lineup.add(running);
    run(running);
  });

  it("waits until that handler ends", () => {
    expect(lineup.add(entryOf(2, "a"))).toBeUndefined();
    expect(take()).toEqual([]);
    lineup.remove(running);
    expect([lineup.hasId("a"), take()]).toEqual([true, [2]]);
  });

  it("is superseded by a later one, whichever came first", () => {
    const [second, third] = [entryOf(2, "a"), entryOf(3, "a")];
    add(third);
    expect(lineup.add(second)).toBe(second);
    lineup.remove(second);
    expect(lineup.add(entryOf(4, "a"))).toBe(third);
    lineup.remove(third);
    lineup.remove(running);
    expect(take()).toEqual([4]);
  });

  it("is superseded immediately if the other report is a later one", () => {
    lineup.remove(running);
    const later = entryOf(3, "a");
    lineup.add(later);
    run(later);
    const earlier = entryOf(2, "a");
    expect(lineup.add(earlier)).toBe(earlier);
    lineup.remove(earlier);
    expect(later.successor).toBeUndefined();
    later.isRunning = false;
    lineup.putBack([later]);
    expect([lineup.get(2), lineup.get(3), take()]).toEqual([undefined, later, [3]]);
    lineup.remove(later);
    expect([lineup.hasId("a"), lineup.ready]).toEqual([false, 0]);
  });

  it("does not come back after it was removed", () => {
    const second = entryOf(2, "a");
    add(second);
    lineup.remove(second);
    lineup.remove(running);
    expect([lineup.hasId("a"), lineup.ready]).toEqual([false, 0]);
  });

  it("is not forgotten when the one that it supersedes is removed", () => {
    const [second, third] = [entryOf(2, "a"), entryOf(3, "a")];
    add(second, third);
    lineup.remove(second);
    lineup.remove(running);
    expect(take()).toEqual([3]);
  });
});

describe("the halves of a list", () => {
  const group = [1, 2, 3, 4, 5].map((number) => entryOf(number));

  beforeEach(() => {
    add(...group);
    expect(take()).toEqual([1, 2, 3, 4, 5]);
    lineup.halve(group);
    add(entryOf(6));
  });

  it("are taken by themselves, the first half first, before all other records", () => {
    expect([take(1), take(), take(), take()]).toEqual([[1, 2, 3], [4, 5], [6], []]);
  });

  it("can be halved again", () => {
    lineup.halve(lineup.take(10, isBusy(), true));
    expect([take(), take(), take()]).toEqual([[1, 2], [3], [4, 5]]);
  });

  it("lose the records that were removed in the meantime", () => {
    for (const entry of group.slice(1)) lineup.remove(entry);
    expect([take(), take()]).toEqual([[1], [6]]);
  });

  it("are put back if another handler of one of their cgroups runs", () => {
    expect(take(10, ["boot:2"])).toEqual([4, 5]);
    expect(take()).toEqual([6, 1, 2, 3]);
  });

  it("are put back after all others by `joinParts`", () => {
    lineup.joinParts();
    expect(take()).toEqual([6, 4, 5, 1, 2, 3]);
    lineup.putBack(group);
    lineup.joinParts();
    expect(take(1)).toEqual([1]);
  });
});
