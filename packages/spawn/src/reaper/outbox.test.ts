import { encodeRecord, recordSize } from "@cm4all/cgroup";
import { bytesOfText, MAX_PASSED_BYTES } from "@cm4all/linux";
import { collectsGarbage } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import type { Release } from "./messages.ts";
import { Outbox } from "./outbox.ts";

const MIB = 2 ** 20;

function release(bytes: number): Release {
  const record = { json: "x".repeat(bytes), path: bytesOfText("/a"), id: "a", report: 1 };
  return { number: 1, record, vanished: false, isFound: false, replaces: undefined };
}

/** Returns an outbox, and what it has posted: all messages, and the releases among them. */
function recording() {
  const told: [name: string, ...values: unknown[]][] = [];
  const outbox = new Outbox({
    post: (...message) => {
      told.push(message);
    },
  });
  const takeReleases = () =>
    told.splice(0).flatMap(([name, value]) => (name === "released" ? (value as Release[]) : []));
  return { outbox, told, takeReleases };
}

/**
 * Returns an outbox that has no room even for cgroups that others have removed, and the number of
 * releases that filled it.
 */
function full() {
  const recorded = recording();
  let kept = 0;
  while (recorded.outbox.tryVanished(release(MIB))) kept++;
  recorded.outbox.flush();
  return { ...recorded, kept };
}

describe("the outbox", () => {
  it("has room until the bytes under way reach the limit, and again once they are taken", () => {
    const { outbox } = recording();
    outbox.released(release(3 * MIB));
    expect(outbox.hasRoom).toBe(true);
    outbox.released(release(3 * MIB));
    outbox.flush();
    expect(outbox.hasRoom).toBe(false);
    outbox.taken(recordSize(release(3 * MIB).record));
    expect(outbox.hasRoom).toBe(true);
  });

  it("collects the garbage that releases leave", async () => {
    const { outbox } = recording();
    const half = release(MAX_PASSED_BYTES / 2);
    expect(await collectsGarbage(() => outbox.released(half))).toBe(false);
    expect(await collectsGarbage(() => outbox.released(half))).toBe(true);
  });

  it("accepts releases of vanished cgroups up to a higher limit", () => {
    const { outbox, takeReleases, kept } = full();
    expect([kept, takeReleases().length]).toEqual([24, 24]);
    expect(outbox.hasRoom).toBe(false);
  });

  it("always reports a vanished cgroup that was found at startup, without attributes if need be", () => {
    const { outbox, takeReleases } = full();
    takeReleases();
    const path = bytesOfText("/a");
    const snapshot = { path, id: "boot:1", report: 1, measuredMs: 5, cpuTotalUsec: 7 };
    const xattrs = [[[bytesOfText("user.a"), bytesOfText("x".repeat(MIB))] as const]];
    const found = { vanished: true, isFound: true, record: encodeRecord({ snapshot, xattrs }) };
    expect(outbox.tryVanished({ ...release(0), ...found })).toBe(true);
    outbox.flush();
    const record = encodeRecord({ snapshot, xattrs: [] });
    expect(takeReleases()).toEqual([{ ...release(0), ...found, record }]);
  });

  it("leaves out interim figures while there is no room", () => {
    const { outbox, told } = recording();
    outbox.released(release(4 * MIB));
    outbox.interim(release(0).record);
    outbox.flush();
    expect(told.map(([name]) => name)).toEqual(["released"]);
  });

  it("posts everything once, and each release before what refers to it", () => {
    const { outbox, told } = recording();
    outbox.flush();
    expect(told).toEqual([]);
    for (const number of [1, 2]) outbox.deleted(number);
    for (const number of [3, 4]) outbox.kept(number);
    for (const number of [5, 6]) outbox.withdrawn(number);
    outbox.scanned({ populated: ["a"], empty: ["b"] });
    const releases = [release(1), { ...release(2), number: 2 }];
    for (const each of releases) outbox.released(each);
    const records = [release(3).record, release(4).record];
    for (const record of records) outbox.interim(record);
    outbox.flush();
    expect(told.splice(0)).toEqual([
      ["interim", records],
      ["released", releases],
      ["scanned", ["a"], ["b"]],
      ["withdrawn", [5, 6]],
      ["kept", [3, 4]],
      ["deleted", [1, 2]],
    ]);
    outbox.flush();
    expect(told).toEqual([]);
  });

  it("posts a message of any kind even if it is the only one", () => {
    const { outbox, told } = recording();
    const post = (add: () => void) => {
      add();
      outbox.flush();
      return told.splice(0);
    };
    const { record } = release(1);
    expect(post(() => outbox.interim(record))).toEqual([["interim", [record]]]);
    expect(post(() => outbox.released(release(1)))).toEqual([["released", [release(1)]]]);
    expect(post(() => outbox.withdrawn(7))).toEqual([["withdrawn", [7]]]);
    expect(post(() => outbox.kept(7))).toEqual([["kept", [7]]]);
    expect(post(() => outbox.deleted(7))).toEqual([["deleted", [7]]]);
  });

  it("keeps a vanished cgroup's attributes while there is room", () => {
    const { outbox, takeReleases } = recording();
    const snapshot = { path: bytesOfText("/a"), id: "boot:1", report: 1, measuredMs: 5 };
    const xattrs = [[[bytesOfText("user.a"), bytesOfText("x")] as const]];
    const vanished = { ...release(0), vanished: true, record: encodeRecord({ snapshot, xattrs }) };
    expect(outbox.tryVanished(vanished)).toBe(true);
    outbox.flush();
    expect(takeReleases()).toEqual([vanished]);
  });

  it("has room again for as many bytes as were taken, interim figures included", () => {
    const { outbox } = recording();
    const { record } = release(4 * MIB);
    outbox.interim(record);
    outbox.flush();
    expect(outbox.hasRoom).toBe(false);
    outbox.taken(recordSize(record));
    expect(outbox.hasRoom).toBe(true);
  });

  it("passes on unchanged a record that it cannot read", () => {
    const { outbox, takeReleases } = full();
    takeReleases();
    const found = { ...release(5), vanished: true, isFound: true };
    outbox.tryVanished(found);
    outbox.flush();
    expect(takeReleases()).toEqual([found]);
  });
});
