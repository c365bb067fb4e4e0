/** Tests with cgroups whose events are missing, or that cannot be looked at for a while. */
import { beforeEach, describe, expect, it } from "vitest";
import { type Directory, Simulation } from "../../test/support/cgroup-simulation.ts";

let world: Simulation;
beforeEach(() => {
  world = new Simulation();
});

function finish<T>(steps: Generator<void, T>): { count: number; value: T } {
  for (let count = 0; ; count++) {
    const { done, value } = steps.next();
    if (done === true) return { count, value };
  }
}

/** Lets a process enter without an event. */
const startUnnoticed = (node: Directory) => {
  node.processes++;
};

describe("when cgroups are found", () => {
  it("a cgroup with processes is in use, even without an event", () => {
    const a = world.make("a");
    startUnnoticed(a);
    world.pass();
    expect(world.lifecycle.unreleased().used).toEqual([a]);
  });

  it("a cgroup that was used counts as having just become empty, even without an event", () => {
    world.charge(world.make("a"), 5);
    expect(world.pass(49)).toEqual([]);
    expect(world.pass(1)).toEqual(["/a#1=5", "rmdir /a"]);
  });

  it("a used cgroup that is found late is released without delay", () => {
    world.charge(world.make("a", undefined, "late"), 5);
    expect(world.pass()).toEqual(["/a#1=5 found", "rmdir /a"]);
  });

  it("a cgroup that is found a second time is the same one", () => {
    const a = world.make("a");
    world.run(a);
    world.pass(20);
    world.lifecycle.scanned(a, "start");
    expect(world.pass(29)).toEqual([]);
    expect(world.pass(1)).toEqual(["/a#1=1", "rmdir /a"]);
  });
});

describe("an unused cgroup that is found late", () => {
  it("is reported as found if somebody else removes it, because an earlier thread may have reported it", () => {
    const a = world.make("a", undefined, "late");
    world.pass();
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1 vanished found"]);
    expect(world.counts.unseenCgroups).toBe(0);
  });
});

describe("a cgroup that could not be looked at during startup", () => {
  let a: Directory;
  beforeEach(() => {
    a = world.make("a", undefined, "start");
    world.refused.add(a);
    world.pass();
  });

  it("differs from what is known as soon as it can be looked at, even if it was never used", () => {
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
    world.refused.clear();
    expect(finish(world.lifecycle.differing()).value).toEqual([a]);
  });

  it("is reported as found once it can be looked at, without delay, although it was never used", () => {
    world.refused.clear();
    world.lifecycle.touched(a, "comparison");
    expect(world.pass()).toEqual(["/a#1=0 found", "rmdir /a"]);
  });

  it("is reported once, even if an event comes first and somebody else removes it later", () => {
    world.isAccounting = true;
    world.tell(a);
    world.pass();
    world.refused.clear();
    world.lifecycle.touched(a, "comparison");
    expect(world.pass()).toEqual(["/a#1=0 found"]);
    world.rmdir(a);
    expect(world.pass()).toEqual(["deleted 1"]);
  });
});

describe("a cgroup that could not be looked at when it was found later", () => {
  let a: Directory;
  let b: Directory;
  beforeEach(() => {
    a = world.make("a");
    b = world.make("b", a);
    world.refused.add(b);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
  });

  it("differs from what is known as soon as it can be looked at, and is then unused", () => {
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
    world.refused.clear();
    expect(finish(world.lifecycle.differing()).value).toEqual([b]);
    world.lifecycle.touched(b, "comparison");
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });

  it("is not deleted before it can be looked at", () => {
    expect(world.pass(20_000)).toEqual([]);
  });
});

describe("a cgroup that can no longer be looked at", () => {
  it("stays in use, although an event comes", () => {
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.refused.add(a);
    world.tell(a);
    world.pass();
    world.refused.clear();
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
    expect(world.pass(100)).toEqual([]);
    expect(world.lifecycle.unreleased().used).toEqual([a]);
  });

  it("is reported once, even if an event comes after its release and somebody else removes it", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
    world.refused.add(a);
    world.tell(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["deleted 1"]);
    expect(world.counts.vanishedCgroups).toBe(0);
  });

  it("counts as unused if only a comparison has tried to look at it", () => {
    const a = world.make("a");
    world.pass();
    world.refused.add(a);
    world.lifecycle.touched(a, "comparison");
    world.rmdir(a);
    expect(world.pass()).toEqual([]);
    expect(world.counts).toMatchObject({ unseenCgroups: 1, vanishedCgroups: 0 });
  });

  it("does not differ from what is known", () => {
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.refused.add(a);
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
  });

  it("is released at a retry, once it can be looked at again", () => {
    const a = world.make("a");
    world.run(a);
    world.pass();
    world.refused.add(a);
    expect(world.pass(50)).toEqual([]);
    world.refused.clear();
    expect(world.pass(50)).toEqual([]);
    expect(finish(world.lifecycle.retry()).count).toBe(1);
    expect(world.pass()).toEqual(["/a#1=1", "rmdir /a"]);
  });
});

it("looks at one cgroup in each step", () => {
  for (const name of ["a", "b", "c"]) world.make(name);
  world.pass();
  expect(finish(world.lifecycle.differing()).count).toBe(3);
  expect(finish(world.lifecycle.retry()).count).toBe(3);
  expect(finish(world.lifecycle.measureRunning()).count).toBe(3);
});

it("has nothing to delete after a retry if nothing is released", () => {
  world.start(world.make("a"));
  world.make("b");
  world.pass();
  finish(world.lifecycle.retry());
  expect(world.lifecycle.isDeleting).toBe(false);
});

it("an unused cgroup differs from what is known if its figures show use without an event", () => {
  const a = world.make("a");
  world.pass();
  expect(finish(world.lifecycle.differing()).value).toEqual([]);
  world.charge(a, 1);
  expect(finish(world.lifecycle.differing()).value).toEqual([a]);
});

describe("a second look", () => {
  it("is taken after an event, and not after a comparison", () => {
    const a = world.make("a");
    world.pass();
    world.lifecycle.touched(a, "comparison");
    expect(world.lifecycle.nextDueMs).toBe(Number.POSITIVE_INFINITY);
    world.tell(a);
    world.deliver();
    expect(world.lifecycle.nextDueMs).toBe(world.now + 15);
  });

  it("is taken for each event, even if the look for an earlier one is still to come", () => {
    const a = world.make("a");
    world.pass();
    world.tell(a);
    world.pass(10);
    world.run(a, 0);
    world.pass(10);
    world.charge(a, 30);
    expect(world.pass(54)).toEqual([]);
    expect(world.pass(1)).toEqual(["/a#1=30", "rmdir /a"]);
  });

  it("is taken at all cgroups whose time has come", () => {
    const nodes = ["a", "b", "c"].map((name) => world.make(name));
    world.pass();
    for (const node of nodes) world.tell(node);
    world.deliver();
    world.now += 15;
    for (const node of nodes) world.charge(node, 1);
    world.work();
    expect(world.lifecycle.unreleased().used).toEqual(nodes);
  });

  it("changes nothing if the cgroup is in use by then", () => {
    const a = world.make("a");
    world.pass();
    world.tell(a);
    world.pass(5);
    startUnnoticed(a);
    world.lifecycle.touched(a, "comparison");
    world.pass(20);
    expect(world.lifecycle.unreleased().used).toEqual([a]);
  });

  it("that shows use leads to one report, even if somebody else removes the cgroup later", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.pass();
    world.run(a, 0);
    world.pass(5);
    world.charge(a, 30);
    expect(world.pass(60)).toEqual(["/a#1=30"]);
    world.rmdir(a);
    expect(world.pass()).toEqual(["deleted 1"]);
  });
});

describe("a released cgroup", () => {
  let a: Directory;
  beforeEach(() => {
    world.isAccounting = true;
    a = world.make("a");
    world.run(a);
    world.pass(50);
  });

  it("counts as being deleted from the time when it is journalled until it is gone", () => {
    expect(world.lifecycle.waiting).toBe(1);
    expect(world.lifecycle.isDeleting).toBe(false);
    world.lifecycle.journalled([1]);
    expect(world.lifecycle.waiting).toBe(0);
    expect(world.lifecycle.isDeleting).toBe(true);
    expect(world.lifecycle.deleteStep()).toBe(true);
    expect(world.lifecycle.isDeleting).toBe(false);
    expect(world.lifecycle.deleteStep()).toBe(false);
    expect(world.counts).toMatchObject({ releasedCgroups: 1, deletedCgroups: 1 });
  });

  it("is not counted as unseen if somebody else removes it", () => {
    world.rmdir(a);
    expect(world.pass()).toEqual(["deleted 1"]);
    expect(world.counts).toMatchObject({ unseenCgroups: 0, vanishedCgroups: 0 });
  });

  it("that could not be deleted is tried again at the next event", () => {
    world.isReadOnly = true;
    expect(world.journal()).toEqual([]);
    world.isReadOnly = false;
    world.tell(a);
    expect(world.pass()).toEqual(["rmdir /a", "deleted 1"]);
  });

  it("that could not be deleted is tried once more before its record is handed over", () => {
    world.isReadOnly = true;
    world.journal();
    expect(world.pass(9999)).toEqual([]);
    world.isReadOnly = false;
    expect(world.pass(1)).toEqual(["rmdir /a", "deleted 1"]);
  });

  it("is reported as kept in the same pass as all others whose time has come", () => {
    const b = world.make("b");
    world.run(b);
    expect(world.pass(50)).toEqual(["/b#1=1"]);
    world.isReadOnly = true;
    world.journal();
    world.now += 10_000;
    world.work();
    expect(world.log).toEqual(["kept 1", "kept 2"]);
  });

  it("that was handed over is reported as deleted, even if a later release was withdrawn", () => {
    world.isReadOnly = true;
    world.journal();
    expect(world.pass(10_000)).toEqual(["kept 1"]);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#2=2"]);
    world.start(a);
    expect(world.pass()).toEqual(["withdrawn 2"]);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass()).toContain("deleted 1");
  });
});

describe("an unused child, when it has to make way", () => {
  let a: Directory;
  let b: Directory;
  beforeEach(() => {
    a = world.make("a");
    b = world.make("b", a);
    world.run(a);
    expect(world.pass(50)).toEqual(["/a#1=1"]);
  });

  it("is deleted in a step of its own", () => {
    world.now += 10_000;
    const isDeleting: boolean[] = [];
    while (world.lifecycle.deleteStep()) isDeleting.push(world.lifecycle.isDeleting);
    expect(world.log.splice(0)).toEqual(["rmdir /a/b", "rmdir /a"]);
    expect(isDeleting[0]).toBe(true);
    expect(world.lifecycle.isDeleting).toBe(false);
    expect(world.counts.deletedCgroups).toBe(2);
  });

  it("is deleted together with all cgroups below it, one in each step", () => {
    const c = world.make("c", b);
    world.make("d", c);
    world.make("e", c);
    world.pass();
    world.now += 10_000;
    const steps: string[][] = [];
    while (world.lifecycle.deleteStep()) steps.push(world.log.splice(0));
    expect(steps.filter((step) => step.length > 0)).toEqual([
      ["rmdir /a/b/c/e"],
      ["rmdir /a/b/c/d"],
      ["rmdir /a/b/c"],
      ["rmdir /a/b"],
      ["rmdir /a"],
    ]);
  });

  it("is deleted after a cgroup that was added below it later, each in a step of its own", () => {
    world.pass(5000);
    world.make("c", b);
    expect(world.pass(9999)).toEqual([]);
    world.now += 1;
    const steps: string[][] = [];
    while (world.lifecycle.deleteStep()) steps.push(world.log.splice(0));
    expect(steps.filter((step) => step.length > 0)).toEqual([
      ["rmdir /a/b/c"],
      ["rmdir /a/b"],
      ["rmdir /a"],
    ]);
  });

  it("stays for the full time after the latest release of its parent", () => {
    world.pass(5000);
    world.start(a);
    world.pass();
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=2"]);
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });

  it("is in use if a process has entered without an event", () => {
    startUnnoticed(b);
    expect(world.pass(10_000)).toEqual([]);
    expect(world.lifecycle.unreleased().used).toContain(b);
  });

  it("counts as having just become empty if it has used any CPU time", () => {
    world.charge(b, 1);
    expect(world.pass(10_000)).toEqual([]);
    expect(world.pass(49)).toEqual([]);
    expect(world.pass(1)).toContain("/a/b#1=1");
  });

  it("stays unused if it cannot be deleted", () => {
    world.isReadOnly = true;
    expect(world.pass(20_000)).toEqual([]);
    expect(world.lifecycle.unreleased().used).toEqual([]);
  });

  it("is tried again when its time has passed since the periodic check looked at its parent", () => {
    world.isReadOnly = true;
    expect(world.pass(20_000)).toEqual([]);
    world.isReadOnly = false;
    finish(world.lifecycle.retry());
    expect(world.pass(9999)).toEqual([]);
    expect(world.pass(1)).toEqual(["rmdir /a/b", "rmdir /a"]);
  });

  it("is tried again after it has lost its last child, and not before", () => {
    const [c, d] = [world.make("c", b), world.make("d", b)];
    world.isReadOnly = true;
    world.pass(20_000);
    world.rmdir(c);
    world.deliver();
    world.work();
    expect(world.lifecycle.nextDueMs).toBe(Number.POSITIVE_INFINITY);
    world.rmdir(d);
    world.deliver();
    expect(world.lifecycle.nextDueMs).toBe(world.now + 10_000);
  });
});

describe("a cgroup that is gone when it is to be measured", () => {
  it("is reported once, as vanished, and its parent no longer waits for it", () => {
    const p = world.make("p");
    const a = world.make("a", p);
    world.run(a);
    world.pass();
    a.gone = true;
    p.children.delete(a);
    expect(world.pass(50)).toEqual(["/p/a#1 vanished", "/p#1=1"]);
    world.lifecycle.removed(a);
    expect(world.pass()).toEqual(["rmdir /p"]);
    expect(world.lifecycle.watched).toBe(0);
    expect(world.counts).toMatchObject({ vanishedCgroups: 1, unseenCgroups: 0 });
  });

  it("is reported with what could still be read, or with its last sample if nothing could", () => {
    const [a, b] = [world.make("a"), world.make("b")];
    for (const node of [a, b]) world.start(node);
    world.charge(b, 3);
    world.pass();
    finish(world.lifecycle.measureRunning());
    for (const node of [a, b]) world.stop(node);
    world.pass();
    for (const node of [a, b]) node.gone = true;
    world.remains.set(a, { cpuTotalUsec: 7 });
    world.remains.set(b, { cpuTotalUsec: undefined });
    expect(world.pass(50)).toEqual(["/a#1=7 vanished", "/b#1=3 vanished"]);
    expect(world.counts).toMatchObject({ vanishedCgroups: 2, releasedCgroups: 0 });
  });

  it("stays vanished, even if another is in use in its place before its removal is reported", () => {
    const a = world.make("a");
    world.run(a);
    world.pass();
    a.gone = true;
    expect(world.pass(50)).toEqual(["/a#1 vanished"]);
    a.gone = false;
    startUnnoticed(a);
    expect(finish(world.lifecycle.differing()).value).toEqual([]);
    world.lifecycle.touched(a, "event");
    expect(world.lifecycle.unreleased().used).toEqual([]);
    world.lifecycle.removed(a);
    expect(world.pass()).toEqual([]);
    expect(world.counts.vanishedCgroups).toBe(1);
  });
});

describe("a cgroup that waits for its delay or for room", () => {
  it("is counted only while there is no room, whether it was found or became empty", () => {
    world.isAccounting = true;
    const a = world.make("a");
    world.run(a);
    world.pass();
    expect(world.lifecycle.waiting).toBe(0);
    world.hasRoom = false;
    expect(world.lifecycle.waiting).toBe(1);
    world.make("b", undefined, "start");
    world.deliver();
    expect(world.lifecycle.waiting).toBe(2);
  });

  it("is not measured without room, although its delay is over", () => {
    world.isAccounting = true;
    world.hasRoom = false;
    world.run(world.make("a"));
    world.pass(50);
    expect(world.lifecycle.measureStep()).toBe(false);
    expect(world.log).toEqual([]);
  });
});

it("counts a cgroup as repopulated if it has run unnoticed since its release", () => {
  world.isAccounting = true;
  const a = world.make("a");
  world.run(a);
  world.pass(50);
  world.charge(a, 1000);
  expect(world.journal()).toEqual(["/a#1=1001 for 1"]);
  expect(world.counts).toMatchObject({ repopulatedCgroups: 1, releasedCgroups: 2 });
});
