import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { type Directory, Simulation } from "../../test/support/cgroup-simulation.ts";

let world: Simulation;
beforeEach(() => {
  world = new Simulation();
});

/** Takes all steps of some work, and returns its result. */
function finish<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

describe("a cgroup", () => {
  it("is released and deleted when it has been empty for the delay", () => {
    const a = world.make("a");
    world.start(a);
    expect(world.pass(1000)).toEqual([]);
    world.stop(a);
    expect(world.pass(49)).toEqual([]);
    expect(world.pass(1)).toEqual(["/a#1=1", "rmdir /a"]);
    expect(world.lifecycle.watched).toBe(0);
    expect(world.lifecycle.nextDueMs).toBe(Number.POSITIVE_INFINITY);
  });

  it("is left alone if it was born empty", () => {
    world.make("a");
    expect(world.pass(100_000)).toEqual([]);
    expect(world.lifecycle.watched).toBe(1);
  });

  it("is released if it was populated and emptied before it was noticed", () => {
    world.run(world.make("a"));
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("is released if it was populated and emptied between two looks", () => {
    const a = world.make("a");
    world.pass();
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("is not released if its first process comes during the look", () => {
    const a = world.make("a");
    world.meanwhile = () => {
      world.meanwhile = undefined;
      world.start(a);
      world.charge(a, 1);
    };
    expect(world.pass(100)).toEqual([]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=2", "rmdir /a"]);
  });

  it("is not reported if it is populated again within the delay", () => {
    const a = world.make("a");
    world.run(a);
    expect(world.pass(40)).toEqual([]);
    world.start(a);
    expect(world.pass(1000)).toEqual([]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=2", "rmdir /a"]);
    expect(world.counts.repopulatedCgroups).toBe(0);
  });

  it("is never held up by a stream of others", () => {
    const deleted: number[] = [];
    for (let i = 0; i < 20; i++) {
      world.run(world.make(`n${i}`));
      deleted.push(world.pass(10).filter((line) => line.startsWith("rmdir")).length);
    }
    // Each is deleted 50 ms after it became empty.
    expect(deleted).toEqual([0, 0, 0, 0, ...Array(16).fill(1)]);
  });

  it("is released before its parent, and all levels are deleted together", () => {
    const a = world.make("a");
    const b = world.make("b", a);
    const c = world.make("c", b);
    world.start(c);
    world.pass();
    world.stop(c);
    expect(world.pass(50)).toEqual([
      "/a/b/c#1=1",
      "/a/b#1=1",
      "/a#1=1",
      "rmdir /a/b/c",
      "rmdir /a/b",
      "rmdir /a",
    ]);
  });

  it("has its own delay if it became empty after its child", () => {
    const a = world.make("a");
    const b = world.make("b", a);
    world.start(a);
    world.start(b);
    world.pass();
    world.stop(b);
    world.pass(40);
    world.stop(a);
    expect(world.pass(10)).toEqual(["/a/b#1=1", "rmdir /a/b"]);
    expect(world.pass(39)).toEqual([]);
    expect(world.pass(1)).toEqual(["/a#1=2", "rmdir /a"]);
  });
});

describe("an event that the figures do not explain", () => {
  it("is put down to the freezer: the cgroup is left alone", () => {
    const a = world.make("a");
    world.pass();
    // Frozen and thawed.
    world.tell(a);
    world.tell(a);
    expect(world.pass(100_000)).toEqual([]);
    expect(world.lifecycle.watched).toBe(1);
  });

  it("is put down to a process if the figures show one a little later", () => {
    const a = world.make("a");
    world.pass();
    world.run(a, 0);
    expect(world.pass(5)).toEqual([]);
    world.charge(a, 30);
    expect(world.pass(60)).toEqual(["/a#1=30", "rmdir /a"]);
  });

  it("counts as use if the cgroup is gone before the figures could show a process", () => {
    const a = world.make("a");
    world.pass();
    world.run(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1 vanished"]);
    expect(world.counts.vanishedCgroups).toBe(1);
  });

  it("counts as use if the cgroup is gone at the second look, before its removal is reported", () => {
    const a = world.make("a");
    world.pass();
    world.run(a, 0);
    world.pass(5);
    world.rmdir(a);
    world.now += 15;
    world.work();
    expect(world.pass()).toEqual(["/a#1 vanished"]);
    expect(world.counts).toMatchObject({ vanishedCgroups: 1, unseenCgroups: 0 });
  });

  it("proves nothing if the figures do not explain it at the second look either", () => {
    const a = world.make("a");
    world.pass();
    world.tell(a);
    world.pass(20);
    world.rmdir(a);
    expect(world.pass()).toEqual([]);
  });
});

describe("at startup", () => {
  it("all empty cgroups are reported as found and without delay, used or not", () => {
    world.isAccounting = true;
    const a = world.make("a", undefined, "start");
    world.charge(a, 5);
    const b = world.make("b", undefined, "start");
    world.start(b);
    expect(world.pass()).toEqual(["/a#1=5 found"]);
    expect(world.lifecycle.unreleased()).toEqual({ found: [], used: [b] });
    world.stop(b);
    expect(world.pass(50)).toEqual(["/b#1=1"]);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1", "rmdir /b", "deleted 2"]);
  });

  it("a cgroup that became empty before all were found is still reported as populated", () => {
    const a = world.make("a", undefined, "start");
    const b = world.make("b", undefined, "start");
    world.start(a);
    world.start(b);
    world.pass();
    world.stop(a);
    world.pass(10);
    expect(world.lifecycle.unreleased()).toEqual({ found: [], used: [a, b] });
  });

  it("a cgroup that was seen in use before all were found is not reported as found", () => {
    const a = world.make("a", undefined, "start");
    world.start(a);
    const later = world.make("later");
    world.run(later);
    world.pass();
    world.stop(a);
    expect(world.pass(50)).toEqual(["/later#1=1", "/a#1=1", "rmdir /later", "rmdir /a"]);
    expect(world.lifecycle.unreleased()).toEqual({ found: [], used: [] });
  });

  it("found cgroups, and no others, wait for room even without accounting", () => {
    world.hasRoom = false;
    const a = world.make("a", undefined, "start");
    world.make("b", a, "start");
    world.run(world.make("c"));
    expect(world.pass(1000)).toEqual(["/c#1=1", "rmdir /c"]);
    expect(world.lifecycle.waiting).toBe(1);
    expect(world.lifecycle.nextDueMs).toBe(Number.POSITIVE_INFINITY);
    world.hasRoom = true;
    expect(world.pass()).toEqual(["/a/b#1=0 found", "/a#1=0 found", "rmdir /a/b", "rmdir /a"]);
  });

  it("a cgroup that could not be looked at is reported as found when it can be", () => {
    world.isAccounting = true;
    const [a, b, c] = ["a", "b", "c"].map((name) => world.make(name, undefined, "start"));
    if (a === undefined || b === undefined || c === undefined) return;
    for (const node of [a, b, c]) world.refused.add(node);
    world.charge(a, 5);
    world.start(b);
    expect(world.pass()).toEqual([]);
    // There may be records of these cgroups, whose directories still exist.
    expect(world.lifecycle.unreleased()).toEqual({ found: [a, b, c], used: [] });
    world.rmdir(c);
    expect(world.pass()).toEqual(["/c#1 vanished found"]);
    world.refused.clear();
    const differing = world.lifecycle.differing();
    let step = differing.next();
    while (step.done !== true) step = differing.next();
    expect(step.value).toEqual([a, b]);
    for (const node of step.value) world.lifecycle.touched(node, "comparison");
    world.stop(b);
    expect(world.pass(50)).toEqual(["/a#1=5 found", "/b#1=1"]);
  });

  it("a cgroup that is found late is reported as found if it was used, and otherwise left alone", () => {
    const a = world.make("a", undefined, "late");
    world.charge(a, 5);
    world.make("b", undefined, "late");
    expect(world.pass(1000)).toEqual(["/a#1=5 found", "rmdir /a"]);
    expect(world.lifecycle.watched).toBe(1);
  });

  it("a found cgroup waits for room, and is then still reported as found", () => {
    world.isAccounting = true;
    world.hasRoom = false;
    const [a, b, c, d] = ["a", "b", "c", "d"].map((name) => world.make(name, undefined, "start"));
    if (a === undefined || b === undefined || c === undefined || d === undefined) return;
    expect(world.pass(1000)).toEqual([]);
    expect(world.lifecycle.unreleased()).toEqual({ found: [a, b, c, d], used: [] });
    world.run(b);
    world.start(c);
    world.rmdir(d);
    // A cgroup whose directory is gone does not wait for room.
    expect(world.pass(1000)).toEqual(["/d#1 vanished found"]);
    world.hasRoom = true;
    expect(world.pass(1000)).toEqual(["/a#1=0 found", "/b#1=1 found"]);
    world.stop(c);
    expect(world.pass(50)).toEqual(["/c#1=1"]);
  });
});

describe("while the main thread has no room", () => {
  it("cgroups that became empty wait, and are measured only when there is room", () => {
    world.isAccounting = true;
    world.hasRoom = false;
    const a = world.make("a");
    world.run(a);
    expect(world.pass(1000)).toEqual([]);
    expect(world.lifecycle.nextDueMs).toBe(Number.POSITIVE_INFINITY);
    expect(world.lifecycle.waiting).toBe(1);
    world.charge(a, 5);
    world.hasRoom = true;
    expect(world.pass()).toEqual(["/a#1=6"]);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1"]);
  });
});

describe("with accounting", () => {
  let a: Directory;
  beforeEach(() => {
    world.isAccounting = true;
    a = world.make("a");
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    expect(world.lifecycle.waiting).toBe(1);
  });

  it("a cgroup stays until it is journalled", () => {
    expect(world.pass(100_000)).toEqual([]);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1"]);
    expect(world.lifecycle.waiting).toBe(0);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("a release is withdrawn when its cgroup is populated again, and another follows", () => {
    world.start(a);
    expect(world.pass(1000)).toEqual(["withdrawn 1"]);
    expect(world.lifecycle.waiting).toBe(0);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=2"]);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 2"]);
    expect(world.counts.repopulatedCgroups).toBe(1);
  });

  it("a cgroup is found to be populated when it is looked at before its deletion", () => {
    a.processes++;
    expect(world.journal()).toEqual(["withdrawn 1"]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=2"]);
  });

  it("a cgroup that has run meanwhile is released again, in place of the first release", () => {
    world.run(a);
    expect(world.pass(1000)).toEqual([]);
    expect(world.journal()).toEqual(["/a#1=2 for 1"]);
    expect(world.lifecycle.waiting).toBe(1);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 2"]);
    expect(world.lifecycle.waiting).toBe(0);
  });

  it("a cgroup is reported as deleted when somebody else removes it, journalled or not", () => {
    world.rmdir(a);
    expect(world.pass()).toEqual(["deleted 1"]);
    expect(world.journal()).toEqual([]);
    expect(world.lifecycle.waiting).toBe(0);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("a removal by others that the deletion notices is reported only when the tree reports it", () => {
    world.rmdir(a);
    expect(world.journal()).toEqual([]);
    expect(world.pass()).toEqual(["deleted 1"]);
  });

  it("a child that is not journalled delays only the deletion of its ancestors", () => {
    world.journal();
    const b = world.make("b");
    const c = world.make("c", b);
    world.run(c);
    expect(world.pass(50)).toEqual(["/b/c#1=1", "/b#1=1"]);
    world.lifecycle.journalled([3]);
    expect(world.pass(1000)).toEqual([]);
    world.lifecycle.journalled([2]);
    expect(world.pass()).toEqual(["rmdir /b/c", "deleted 2", "rmdir /b", "deleted 3"]);
  });

  it("a cgroup that cannot be deleted is reported as kept after 10 s, and deleted when possible", () => {
    world.isReadOnly = true;
    expect(world.journal()).toEqual([]);
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual(["kept 1"]);
    expect(world.pass(100_000)).toEqual([]);
    world.isReadOnly = false;
    for (const _ of world.lifecycle.retry());
    expect(world.pass()).toEqual(["rmdir /a", "deleted 1"]);
    expect(world.lifecycle.waiting).toBe(0);
  });

  it("a kept cgroup that runs again is released again; both releases end with its deletion", () => {
    world.isReadOnly = true;
    world.journal();
    expect(world.pass(10_000)).toEqual(["kept 1"]);
    world.start(a);
    expect(world.pass()).toEqual([]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#2=2"]);
    world.isReadOnly = false;
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1", "deleted 2"]);
  });

  it("a withdrawn release is not reported as kept", () => {
    world.isReadOnly = true;
    world.journal();
    world.pass(5000);
    world.start(a);
    expect(world.pass(5000)).toEqual(["withdrawn 1"]);
    expect(world.pass(100_000)).toEqual([]);
  });

  it("no further release waits for the journal once accounting has ended", () => {
    world.isAccounting = false;
    world.run(world.make("b"));
    expect(world.pass(50)).toEqual(["/b#1=1", "rmdir /b"]);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1"]);
  });
});

describe("the last moments of a process", () => {
  beforeEach(() => {
    world.isAccounting = true;
  });

  it("do not count as another run if the cgroup was measured immediately", () => {
    const a = world.make("a", undefined, "start");
    world.charge(a, 5000);
    expect(world.pass()).toEqual(["/a#1=5000 found"]);
    world.charge(a, 150);
    expect(world.journal()).toEqual(["rmdir /a", "deleted 1"]);
  });

  it("count as another run if they are long", () => {
    const a = world.make("a", undefined, "start");
    world.charge(a, 5000);
    world.pass();
    world.charge(a, 250);
    expect(world.journal()).toEqual(["/a#1=5250 for 1"]);
  });

  it("are over after the delay: any more CPU time counts as another run", () => {
    const a = world.make("a");
    world.run(a, 5000);
    world.pass(50);
    world.charge(a, 1);
    expect(world.journal()).toEqual(["/a#1=5001 for 1"]);
  });
});

describe("an unused child", () => {
  let a: Directory;
  beforeEach(() => {
    a = world.make("a");
  });

  it("does not hide the usage of its parent, and makes way for the parent's deletion", () => {
    world.isAccounting = true;
    const b = world.make("b", a);
    const c = world.make("c", b);
    world.make("d", a);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    expect(world.journal()).toEqual([]);
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual([
      "rmdir /a/b/c",
      "rmdir /a/b",
      "rmdir /a/d",
      "rmdir /a",
      "deleted 1",
    ]);
    expect([b.gone, c.gone]).toEqual([true, true]);
  });

  it("stays if its parent is used again while unused children are being deleted", () => {
    for (const name of ["b", "c", "d"]) world.make(name, a);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    world.pass(9999);
    world.now++;
    while (world.log.length === 0) world.lifecycle.deleteStep();
    expect(world.log.splice(0)).toEqual(["rmdir /a/b"]);
    world.start(a);
    expect(world.pass(100_000)).toEqual([]);
  });

  it("that comes later is deleted when its own time is over", () => {
    world.run(a);
    world.make("b", a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    world.pass(5000);
    const c = world.make("c", a);
    expect(world.pass(5000)).toEqual(["rmdir /a/b"]);
    world.make("d", c);
    expect(world.pass(5000)).toEqual([]);
    expect(world.pass(5000)).toEqual(["rmdir /a/c/d", "rmdir /a/c", "rmdir /a"]);
  });

  it("that comes later with others below it is deleted after them", () => {
    world.isAccounting = true;
    world.run(a);
    expect(world.pass(1000)).toEqual(["/a#1=1"]);
    world.makeTree(["b", "c", "d"], a);
    expect(world.pass(1000)).toEqual([]);
    world.journal();
    expect(world.pass(9002)).toEqual([
      "rmdir /a/b/c/d",
      "rmdir /a/b/c",
      "rmdir /a/b",
      "rmdir /a",
      "deleted 1",
    ]);
  });

  it("that loses its own child later is deleted later", () => {
    world.run(a);
    expect(world.pass(10)).toEqual([]);
    const b = world.make("b", a);
    expect(world.pass(990)).toEqual(["/a#1=1"]);
    const c = world.make("c", b);
    world.pass(9500);
    world.rmdir(c);
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });

  it("is found to have been used when its time is up", () => {
    const b = world.make("b", a);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    world.charge(b, 7);
    expect(world.pass(10_100)).toEqual(["/a/b#1=7", "rmdir /a/b", "/a#1=8", "rmdir /a"]);
  });

  it("is left alone when its parent is populated again", () => {
    world.make("b", a);
    world.run(a);
    world.pass(5000);
    world.start(a);
    expect(world.pass(100_000)).toEqual([]);
    world.stop(a);
    expect(world.pass(10_000)).toEqual(["/a#1=2"]);
    expect(world.pass(50)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });

  it("is left alone below a cgroup that was never used", () => {
    world.make("b", a);
    expect(world.pass(100_000)).toEqual([]);
  });

  it("that somebody else removes lets its parent be deleted immediately", () => {
    const b = world.make("b", a);
    world.run(a);
    expect(world.pass(1000)).toEqual(["/a#1=1"]);
    world.rmdir(b);
    expect(world.pass()).toEqual(["rmdir /a"]);
  });

  it("waits for its parent's other child if that child was used", () => {
    world.make("b", a);
    const c = world.make("c", a);
    world.run(c);
    expect(world.pass(50)).toEqual(["/a/c#1=1", "/a#1=1", "rmdir /a/c"]);
    expect(world.pass(10_000)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });
});

describe("a cgroup that somebody else removes", () => {
  it("is reported, with the last sample", () => {
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.charge(a, 7);
    expect([...world.lifecycle.measureRunning()]).toHaveLength(1);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass(1000)).toEqual(["/a#1=7 vanished"]);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("is reported with the figures of its last release, if there was no sample since", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.charge(a, 7);
    expect([...world.lifecycle.measureRunning()]).toHaveLength(1);
    world.charge(a, 3);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=11"]);
    world.start(a);
    expect(world.pass()).toEqual(["withdrawn 1"]);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1=11 vanished"]);
  });

  it("is reported if it was released before and ran again", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.run(a);
    world.pass(50);
    world.start(a);
    expect(world.pass()).toEqual(["withdrawn 1"]);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1=1 vanished"]);
  });

  it("is reported while it waits for its delay", () => {
    const a = world.make("a");
    world.run(a);
    world.pass(20);
    world.rmdir(a);
    expect(world.pass(1000)).toEqual(["/a#1 vanished"]);
  });

  it("lets its parent be released", () => {
    const a = world.make("a");
    const b = world.make("b", a);
    world.run(b);
    world.pass(20);
    world.rmdir(b);
    expect(world.pass(30)).toEqual(["/a/b#1 vanished", "/a#1=1", "rmdir /a"]);
  });

  it("is only counted if it was not seen to be used", () => {
    const a = world.make("a");
    world.pass();
    world.rmdir(a);
    expect(world.pass(1000)).toEqual([]);
    expect(world.counts).toMatchObject({ vanishedCgroups: 0, unseenCgroups: 1 });
  });

  it("is only counted if it could not be looked at", () => {
    const a = world.make("a");
    world.deliver();
    const b: Directory = { ...a, gone: true };
    world.lifecycle.added(b, undefined, undefined);
    world.lifecycle.scanned(b, "event");
    world.lifecycle.removed(b);
    expect(world.counts.unseenCgroups).toBe(1);
  });
});

describe("looking at all cgroups", () => {
  it("finds those whose events were lost, and no others", () => {
    const a = world.make("a");
    const b = world.make("b");
    world.make("c");
    world.start(b);
    world.pass();
    expect(finish(world.lifecycle.differing())).toEqual([]);
    a.processes++;
    b.processes--;
    expect(finish(world.lifecycle.differing())).toEqual([a, b]);
  });

  it("ignores a difference that has left no trace in the figures", () => {
    const a = world.make("a");
    world.pass();
    world.lifecycle.touched(a, "comparison");
    expect(world.pass(100)).toEqual([]);
    world.charge(a, 1);
    world.lifecycle.touched(a, "comparison");
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("measures running cgroups, and none that has become empty, with or without an event", () => {
    const a = world.make("a");
    const b = world.make("b");
    const c = world.make("c");
    for (const node of [a, b, c]) world.start(node);
    world.pass();
    world.stop(a);
    world.deliver();
    // The event of this change has not come yet.
    c.processes--;
    const told: string[] = [];
    finish(
      world.lifecycle.measureRunning(({ path }, { report, cpuTotalUsec }) =>
        told.push(`${path}#${report}=${cpuTotalUsec}`),
      ),
    );
    expect(told).toEqual(["/b#1=0"]);
  });
});

describe("a cgroup whose figures cannot be read", () => {
  it("keeps its last sample while it runs", () => {
    const a = world.make("a");
    world.start(a);
    world.charge(a, 5);
    world.pass();
    finish(world.lifecycle.measureRunning());
    world.unmeasurable.add(a);
    const told: unknown[] = [];
    finish(world.lifecycle.measureRunning((node) => told.push(node)));
    expect(told).toEqual([]);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1=5 vanished"]);
  });

  it("is released when they can be read, and not before", () => {
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.unmeasurable.add(a);
    world.stop(a);
    expect(world.pass(1000)).toEqual([]);
    world.unmeasurable.delete(a);
    finish(world.lifecycle.retry());
    expect(world.pass()).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("stays released although it has run, and is reported again only when they can be read", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    world.unmeasurable.add(a);
    world.charge(a, 1000);
    expect(world.journal()).toEqual([]);
    expect(world.counts.repopulatedCgroups).toBe(0);
    world.unmeasurable.delete(a);
    finish(world.lifecycle.retry());
    expect(world.pass(1000)).toEqual(["/a#1=1001 for 1"]);
    expect(world.counts.repopulatedCgroups).toBe(1);
  });
});

describe("whatever happens, in whatever order", () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant("make" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("tree" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("start" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("stop" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("rmdir" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("pass" as const), which: fc.nat({ max: 60 }) }),
    fc.record({ what: fc.constant("wait" as const), which: fc.nat({ max: 12_000 }) }),
    fc.record({ what: fc.constant("journal" as const), which: fc.nat() }),
    fc.record({ what: fc.constant("refuse" as const), which: fc.nat() }),
  );

  /** Returns, for each cgroup, the latest figures that were handed over. */
  function handedOver(): Map<Directory, number> {
    const figures = new Map<Directory, number>();
    const reports = new Set<string>();
    for (const { node, release, fate } of world.told.values()) {
      const isHandedOver = fate === "deleted" || fate === "kept" || release.vanished;
      if (!isHandedOver) continue;
      const key = `${node.path}#${release.snapshot.report}`;
      expect(reports.has(key), `${key} twice`).toBe(false);
      reports.add(key);
      const usec = release.snapshot.cpuTotalUsec ?? 0;
      expect(usec).toBeGreaterThanOrEqual(figures.get(node) ?? 0);
      figures.set(node, usec);
    }
    return figures;
  }

  it("nothing is lost, and nothing is reported twice", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        world = new Simulation();
        world.isAccounting = true;
        const removedByOthers = new Set<Directory>();
        for (const { what, which } of steps) {
          const alive = world.all.filter((node) => !node.gone);
          const node = alive[which % Math.max(1, alive.length)];
          if (what === "make" || node === undefined)
            world.make(`n${world.all.length}`, which % 3 === 0 ? undefined : node);
          else if (what === "tree") world.makeTree([`t${world.all.length}`, "below"], node);
          else if (what === "start") world.start(node);
          else if (what === "stop") world.stop(node, 2000);
          else if (what === "rmdir") {
            world.rmdir(node);
            if (node.gone) removedByOthers.add(node);
          } else if (what === "journal") world.journal();
          else if (what === "refuse") world.isReadOnly = !world.isReadOnly;
          else world.pass(which);
        }
        world.isReadOnly = false;
        for (const node of world.all) while (node.processes > 0) world.stop(node, 2000);
        world.pass(100);
        for (let i = 0; i < 10; i++) {
          world.journal();
          // Only work that was refused has to wait for the periodic check.
          if (steps.some(({ what }) => what === "refuse")) for (const _ of world.lifecycle.retry());
          world.pass(11_000);
        }
        const figures = handedOver();
        for (const node of world.all) {
          if (!node.gone) expect(node.total, `${node.path} is left`).toBe(0);
          else if (!removedByOthers.has(node) && node.total > 0)
            expect(figures.get(node), node.path).toBe(node.total);
          else if (node.known && node.total > 0)
            expect(figures.has(node), `${node.path} is forgotten`).toBe(true);
        }
        const open = [...world.told.values()].filter(
          ({ fate, release }) =>
            !release.vanished && ["waiting", "journalled", "kept"].includes(fate),
        );
        expect(open).toEqual([]);
        expect(world.lifecycle.waiting).toBe(0);
        const left = world.all.filter((node) => !node.gone);
        expect(world.lifecycle.watched).toBe(left.length);
        for (const { parent } of left) expect(parent?.total ?? 0).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});
