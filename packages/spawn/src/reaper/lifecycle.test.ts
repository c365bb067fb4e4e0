import { bytesOfText, textOf } from "@cm4all/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { zeroCounts } from "../metrics/declaration.ts";
import type { Removal } from "./cgroup-files.ts";
import { Lifecycle } from "./lifecycle.ts";
import { REAPER_METRICS } from "./metrics.ts";

/** A directory of the simulated cgroupfs. */
interface Directory {
  readonly path: string;
  readonly parent: Directory | undefined;
  readonly children: Set<Directory>;
  processes: number;
  /** CPU time of its own processes. */
  usage: number;
  /** What the kernel tells: with that of all below, also of those that are gone. */
  total: number;
  frozen: boolean;
  gone: boolean;
  /** Whether the lifecycle has been told of it. */
  known: boolean;
}

/** A kernel with a clock, and a lifecycle that learns of everything when `deliver` is called. */
class Simulation {
  now = 1000;
  readonly lifecycle: Lifecycle<Directory>;
  readonly log: string[] = [];
  /** Each directory's own usage when it was released last. */
  readonly accounted = new Map<Directory, number>();
  readonly open: number[] = [];
  handlers = false;
  #events: (() => void)[] = [];
  readonly all: Directory[] = [];
  readonly removedByReaper: Directory[] = [];
  /** What happens between the look whether a cgroup is populated and its figures. */
  meanwhile: (() => void) | undefined;

  readonly counts = zeroCounts(REAPER_METRICS);

  constructor() {
    this.lifecycle = new Lifecycle<Directory>(
      {
        nowMs: () => this.now,
        state: (node) =>
          node.gone ? undefined : { populated: isPopulated(node), frozen: node.frozen },
        wasUsed: (node) => {
          this.meanwhile?.();
          return !node.gone && node.total > 0;
        },
        measure: (node, birthMs) =>
          node.gone ? "gone" : { ...identity(node), birthMs, cpuTotalUsec: node.total },
        identify: identity,
        remove: (node) => this.#remove(node),
        released: (node, release, snapshot) => {
          if (isPopulated(node)) throw new Error("released while populated");
          this.log.push(`${textOf(snapshot.path)}#${snapshot.report}=${snapshot.cpuTotalUsec}`);
          this.accounted.set(node, node.usage);
          if (this.handlers) this.open.push(release);
          return !this.handlers;
        },
        vanished: (_node, _release, snapshot) => {
          const sample = snapshot.cpuTotalUsec === undefined ? "" : ` at ${snapshot.cpuTotalUsec}`;
          this.log.push(`${textOf(snapshot.path)}#${snapshot.report} vanished${sample}`);
        },
      },
      50,
      this.counts,
    );
  }

  #remove(node: Directory): Removal {
    if (node.gone) return "gone";
    if (isPopulated(node) || node.children.size > 0) return "busy";
    this.log.push(`rmdir ${node.path}`);
    this.removedByReaper.push(node);
    node.gone = true;
    node.parent?.children.delete(node);
    return "removed";
  }

  #touch(node: Directory | undefined): void {
    for (let each = node; each !== undefined; each = each.parent) {
      const directory = each;
      this.#events.push(() => this.lifecycle.touched(directory, "event"));
    }
  }

  make(path: string, parent?: Directory): Directory {
    const node: Directory = {
      path: `${parent?.path ?? ""}/${path}`,
      parent,
      children: new Set(),
      processes: 0,
      usage: 0,
      total: 0,
      frozen: false,
      gone: false,
      known: false,
    };
    parent?.children.add(node);
    this.all.push(node);
    this.#events.push(() => {
      if (node.gone || (parent !== undefined && !parent.known)) return;
      node.known = true;
      this.lifecycle.added(node, parent, this.now);
      this.lifecycle.scanned(node, "event");
    });
    return node;
  }

  start(node: Directory): void {
    const before = isPopulated(node);
    node.processes++;
    if (!before) this.#touch(node);
  }

  stop(node: Directory, cpu = 1): void {
    if (node.processes === 0) return;
    node.processes--;
    this.charge(node, cpu);
    if (!isPopulated(node)) this.#touch(node);
  }

  charge(node: Directory, cpu: number): void {
    node.usage += cpu;
    for (let each: Directory | undefined = node; each !== undefined; each = each.parent)
      each.total += cpu;
  }

  freeze(node: Directory, frozen: boolean): void {
    node.frozen = frozen;
    this.#events.push(() => this.lifecycle.touched(node, "event"));
  }

  /** Somebody else removes it. */
  rmdir(node: Directory): void {
    if (node.gone || isPopulated(node) || node.children.size > 0) return;
    node.gone = true;
    node.parent?.children.delete(node);
    this.#events.push(() => this.lifecycle.removed(node));
  }

  deliver(): void {
    const events = this.#events;
    this.#events = [];
    for (const event of events) event();
  }

  /** Lets time pass; returns what happened. */
  pass(ms = 0): string[] {
    this.deliver();
    this.now += ms;
    this.lifecycle.deleteDue();
    return this.log.splice(0);
  }

  settle(): void {
    this.deliver();
    for (const release of this.open.splice(0)) this.lifecycle.settle(release);
  }
}

/** The kernel's flag counts everything below. */
function isPopulated(node: Directory): boolean {
  return node.processes > 0 || [...node.children].some(isPopulated);
}

const identity = ({ path }: Directory) => ({
  path: bytesOfText(path),
  id: path,
  measuredMs: 0,
});

describe("Reaper", () => {
  it("releases what ran empty at once and deletes it after the delay", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    expect(world.pass(1000)).toEqual([]);
    world.stop(a);
    expect(world.pass(49)).toEqual(["/a#1=1"]);
    expect(world.pass(1)).toEqual(["rmdir /a"]);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("leaves alone what was born empty", () => {
    const world = new Simulation();
    world.make("a");
    expect(world.pass(100_000)).toEqual([]);
    expect(world.lifecycle.watched).toBe(1);
  });

  it("takes what was populated and emptied before it was noticed", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("does not take a first process that comes during the look for one that has left", () => {
    const world = new Simulation();
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

  it("takes what was populated and emptied between two looks", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.pass();
    world.start(a);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("believes the event where a process left no trace in the figures", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.pass();
    world.start(a);
    world.stop(a, 0);
    expect(world.pass(50)).toEqual(["/a#1=0", "rmdir /a"]);
  });

  it("does not believe a comparison without a trace in the figures", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.pass();
    world.lifecycle.touched(a, "comparison");
    expect(world.pass(100)).toEqual([]);
    world.charge(a, 1);
    world.lifecycle.touched(a, "comparison");
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("does not take the freezer for a process", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.pass();
    world.freeze(a, true);
    expect(world.pass(100)).toEqual([]);
    world.freeze(a, false);
    expect(world.pass(100)).toEqual([]);
  });

  it("reaps all that is empty at the start, used or not", () => {
    const world = new Simulation();
    const a: Directory = {
      path: "/a",
      parent: undefined,
      children: new Set(),
      processes: 0,
      usage: 0,
      total: 0,
      frozen: false,
      gone: false,
      known: true,
    };
    world.lifecycle.added(a, undefined, undefined);
    world.lifecycle.scanned(a, "start");
    expect(world.pass(50)).toEqual(["/a#1=0", "rmdir /a"]);
  });

  it("never lets a stream of releases postpone a deletion", () => {
    const world = new Simulation();
    const late: number[] = [];
    for (let i = 0; i < 20; i++) {
      const node = world.make(`n${i}`);
      world.start(node);
      world.deliver();
      world.stop(node);
      const deleted = world.pass(10).filter((line) => line.startsWith("rmdir"));
      late.push(deleted.length);
    }
    // Each 50 ms after its own release.
    expect(late).toEqual([0, 0, 0, 0, ...Array(16).fill(1)]);
  });

  it("releases children first and deletes all levels in one go, bottom-up", () => {
    const world = new Simulation();
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

  it("waits for a child that was never used", () => {
    const world = new Simulation();
    const a = world.make("a");
    const b = world.make("b", a);
    world.start(a);
    world.pass();
    world.stop(a);
    expect(world.pass(1000)).toEqual([]);
    world.rmdir(b);
    expect(world.pass(50)).toEqual(["/a#1=1", "rmdir /a"]);
  });

  it("a child that waits for its handler delays only the deletion of its ancestors", () => {
    const world = new Simulation();
    world.handlers = true;
    const a = world.make("a");
    const b = world.make("b", a);
    world.start(b);
    world.pass();
    world.stop(b);
    expect(world.pass(1000)).toEqual(["/a/b#1=1", "/a#1=1"]);
    expect(world.lifecycle.waiting).toBe(2);
    const [ofChild = 0, ofParent = 0] = world.open;
    world.lifecycle.settle(ofParent);
    expect(world.pass(1000)).toEqual([]);
    world.lifecycle.settle(ofChild);
    expect(world.log).toEqual(["rmdir /a/b", "rmdir /a"]);
    expect(world.lifecycle.waiting).toBe(0);
  });

  it("reports again what is populated again, with fresh figures", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    expect(world.pass(20)).toEqual(["/a#1=1"]);
    world.start(a);
    expect(world.pass(1000)).toEqual([]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#2=2", "rmdir /a"]);
    expect(world.counts.repopulatedCgroups).toBe(1);
  });

  it("finds out by EBUSY that it was populated again", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    world.pass(20);
    a.processes++;
    expect(world.pass(1000)).toEqual([]);
    world.stop(a);
    expect(world.pass(50)).toEqual(["/a#2=2", "rmdir /a"]);
  });

  it("notices what ran again and ended within the delay", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    expect(world.pass(20)).toEqual(["/a#1=1"]);
    world.start(a);
    world.stop(a);
    expect(world.pass(49)).toEqual(["/a#2=2"]);
    expect(world.pass(1)).toEqual(["rmdir /a"]);
  });

  it("does not take the last moments of a process for another run", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a, 5000);
    expect(world.pass(10)).toEqual(["/a#1=5000"]);
    world.charge(a, 150);
    world.lifecycle.touched(a, "event");
    expect(world.pass(20)).toEqual([]);
    world.lifecycle.touched(a, "event");
    expect(world.pass()).toEqual(["/a#2=5150"]);
    world.charge(a, 2000);
    world.lifecycle.touched(a, "event");
    expect(world.pass()).toEqual(["/a#3=7150"]);
  });

  it("waits for the handler of the latest release", () => {
    const world = new Simulation();
    world.handlers = true;
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    world.pass(20);
    world.start(a);
    world.pass();
    world.stop(a);
    world.pass(1000);
    const [first = 0, second = 0] = world.open;
    world.lifecycle.settle(first);
    expect(world.pass(1000)).toEqual([]);
    world.lifecycle.settle(second);
    expect(world.log).toEqual(["rmdir /a"]);
  });

  it("does not delete a parent while a new child is there", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    world.pass(20);
    const b = world.make("b", a);
    expect(world.pass(1000)).toEqual([]);
    world.rmdir(b);
    expect(world.pass()).toEqual(["rmdir /a"]);
  });

  it("tells of what somebody else removed before it was measured", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    world.rmdir(a);
    expect(world.pass(1000)).toEqual(["/a#1 vanished"]);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("tells the last sample of what vanished", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.charge(a, 7);
    expect([...world.lifecycle.takeSamples()]).toHaveLength(1);
    world.stop(a);
    world.rmdir(a);
    expect(world.pass()).toEqual(["/a#1 vanished at 7"]);
    expect([...world.lifecycle.takeSamples()]).toHaveLength(0);
  });

  it("says nothing of what was never used and goes, nor of what was released", () => {
    const world = new Simulation();
    const a = world.make("a");
    const b = world.make("b");
    world.start(b);
    world.pass();
    world.stop(b);
    expect(world.pass()).toEqual(["/b#1=1"]);
    world.rmdir(a);
    world.rmdir(b);
    expect(world.pass(1000)).toEqual([]);
    expect(world.lifecycle.watched).toBe(0);
  });

  it("deletes at once when told to", () => {
    const world = new Simulation();
    const a = world.make("a");
    world.start(a);
    world.pass();
    world.stop(a);
    world.pass();
    world.lifecycle.deleteDue(true);
    expect(world.log).toEqual(["rmdir /a"]);
  });

  it("names those whose events were lost, and no others", () => {
    const world = new Simulation();
    const a = world.make("a");
    const b = world.make("b");
    world.make("c");
    world.start(b);
    world.pass();
    expect(world.lifecycle.differing()).toEqual([]);
    a.processes++;
    b.processes--;
    expect(world.lifecycle.differing()).toEqual([a, b]);
  });

  it("loses nothing whatever happens in whatever order", () => {
    const step = fc.oneof(
      fc.record({ what: fc.constant("make" as const), which: fc.nat() }),
      fc.record({ what: fc.constant("start" as const), which: fc.nat() }),
      fc.record({ what: fc.constant("stop" as const), which: fc.nat() }),
      fc.record({ what: fc.constant("rmdir" as const), which: fc.nat() }),
      fc.record({ what: fc.constant("pass" as const), which: fc.nat({ max: 60 }) }),
      fc.record({ what: fc.constant("settle" as const), which: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.boolean(), fc.array(step, { maxLength: 80 }), (handlers, steps) => {
        const world = new Simulation();
        world.handlers = handlers;
        for (const { what, which } of steps) {
          const alive = world.all.filter((node) => !node.gone);
          const node = alive[which % Math.max(1, alive.length)];
          if (what === "make" || node === undefined)
            world.make(`n${world.all.length}`, which % 3 === 0 ? undefined : node);
          else if (what === "start") world.start(node);
          else if (what === "stop") world.stop(node, 2000);
          else if (what === "rmdir") world.rmdir(node);
          else if (what === "pass") world.pass(which);
          else world.settle();
        }
        for (const node of world.all) while (node.processes > 0) world.stop(node, 2000);
        for (let i = 0; i < 20; i++) {
          world.pass(50);
          world.settle();
        }
        for (const node of world.all) {
          // What is left was never used, or holds something that was never used.
          if (!node.gone) expect(node.usage === 0 || node.children.size > 0).toBe(true);
        }
        for (const node of world.removedByReaper)
          expect(world.accounted.get(node), node.path).toBe(node.usage);
        expect(world.lifecycle.watched).toBe(world.all.filter((node) => !node.gone).length);
        expect(world.lifecycle.waiting).toBe(0);
      }),
      { numRuns: 2000 },
    );
  });
});
