/** A simulated cgroupfs with a clock, for tests of the reaper's decisions. */
import type { CgroupUsage } from "@cm4all/cgroup";
import { bytesOfText, textOf } from "@cm4all/linux";
import { zeroCounts } from "../../src/metrics/declaration.ts";
import type { LifecycleRelease } from "../../src/reaper/cgroup.ts";
import type { Removal } from "../../src/reaper/cgroup-files.ts";
import { Lifecycle } from "../../src/reaper/lifecycle.ts";
import { REAPER_METRICS } from "../../src/reaper/metrics.ts";
import type { Origin } from "../../src/reaper/tree-node.ts";

/** A directory of the simulated cgroupfs. */
export interface Directory {
  readonly path: string;
  readonly parent: Directory | undefined;
  readonly children: Set<Directory>;
  processes: number;
  /** The CPU time that the kernel reports, including that of descendants, even of deleted ones. */
  total: number;
  gone: boolean;
  /** Whether the directory has been reported to the lifecycle. */
  known: boolean;
}

/** A release that was reported to the main thread, and what has become of its record. */
export interface Told {
  readonly node: Directory;
  readonly release: LifecycleRelease;
  fate: "waiting" | "journalled" | "replaced" | "withdrawn" | "kept" | "deleted";
}

const identity = ({ path }: Directory) => ({ path: bytesOfText(path), id: path, measuredMs: 0 });

/** Returns the kernel's `populated` flag, which also covers everything below. */
export function isPopulated(node: Directory): boolean {
  return node.processes > 0 || [...node.children].some(isPopulated);
}

/** A kernel, and a lifecycle that gets the kernel's events when `deliver` is called. */
export class Simulation {
  now = 1000;
  readonly lifecycle: Lifecycle<Directory>;
  readonly log: string[] = [];
  /** Whether releases are reported to the main thread and wait until they are journalled. */
  isAccounting = false;
  /** Whether the main thread has room for another release. */
  hasRoom = true;
  readonly told = new Map<number, Told>();
  /** Whether the file system refuses to remove anything. */
  isReadOnly = false;
  /** The directories in which no file can be read, for lack of descriptors. */
  readonly refused = new Set<Directory>();
  /** The directories in which only the figures cannot be read. */
  readonly unmeasurable = new Set<Directory>();
  /** For directories that are removed while they are measured: the figures that can still be read. */
  readonly remains = new Map<Directory, CgroupUsage>();
  #events: (() => void)[] = [];
  readonly all: Directory[] = [];
  /** Called just before the lifecycle is told whether a cgroup was used. */
  meanwhile: (() => void) | undefined;
  readonly counts = zeroCounts(REAPER_METRICS);

  constructor() {
    this.lifecycle = new Lifecycle<Directory>(
      {
        nowMs: () => this.now,
        isPopulated: (node) =>
          node.gone || this.refused.has(node) ? undefined : isPopulated(node),
        wasUsed: (node) => {
          this.meanwhile?.();
          return !node.gone && node.total > 0;
        },
        mayRelease: () => !this.isAccounting || this.hasRoom,
        hasRoom: () => this.hasRoom,
        measure: (node, birthMs, remains) => {
          const figures = this.remains.get(node);
          if (figures !== undefined) remains({ ...identity(node), ...figures });
          if (node.gone) return "gone";
          if (this.refused.has(node) || this.unmeasurable.has(node)) return "unreadable";
          return { ...identity(node), birthMs, cpuTotalUsec: node.total };
        },
        identify: identity,
        remove: (node, maxUsec) => this.#remove(node, maxUsec),
        released: (node, release) => this.#released(node, release),
        withdrawn: (number) => this.#fate(number, "withdrawn"),
        kept: (number) => this.#fate(number, "kept"),
        deleted: (number) => this.#fate(number, "deleted"),
      },
      { deletionDelayMs: 50, unusedMs: 10_000 },
      this.counts,
    );
  }

  #released(node: Directory, release: LifecycleRelease): boolean {
    const { snapshot, vanished, isFound, replaces, number } = release;
    if (!vanished && isPopulated(node)) throw new Error("released while populated");
    const figures = snapshot.cpuTotalUsec === undefined ? "" : `=${snapshot.cpuTotalUsec}`;
    const marks = [
      vanished ? " vanished" : "",
      isFound ? " found" : "",
      replaces === undefined ? "" : ` for ${replaces}`,
    ].join("");
    this.log.push(`${textOf(snapshot.path)}#${snapshot.report}${figures}${marks}`);
    if (!this.isAccounting) return false;
    if (replaces !== undefined) this.#settle(replaces, "replaced");
    this.told.set(number, { node, release, fate: "waiting" });
    return true;
  }

  #fate(number: number, fate: Told["fate"]): void {
    this.log.push(`${fate} ${number}`);
    this.#settle(number, fate);
  }

  #settle(number: number, fate: Told["fate"]): void {
    const told = this.told.get(number);
    if (told === undefined) throw new Error(`release ${number} was not reported`);
    const isFinal = !["waiting", "journalled", "kept"].includes(told.fate);
    if (isFinal || (told.fate === "kept" && fate !== "deleted"))
      throw new Error(`${number} was ${told.fate} and now is ${fate}`);
    if (fate === "replaced" && told.fate !== "journalled")
      throw new Error(`${number} was replaced while ${told.fate}`);
    told.fate = fate;
  }

  #remove(node: Directory, maxUsec: number | undefined): Removal {
    if (node.gone) return "gone";
    if (isPopulated(node)) return "populated";
    if (node.total > (maxUsec ?? Number.POSITIVE_INFINITY)) return "grown";
    if (node.children.size > 0) return "busy";
    if (this.isReadOnly) return "failed";
    this.log.push(`rmdir ${node.path}`);
    node.gone = true;
    node.parent?.children.delete(node);
    return "removed";
  }

  /** Queues an event of `cgroup.events` for a directory, and for each directory above it. */
  #touch(node: Directory | undefined): void {
    for (let each = node; each !== undefined; each = each.parent) this.tell(each);
  }

  /** Queues an event for a directory, whether or not anything has changed there. */
  tell(node: Directory): void {
    this.#events.push(() => this.lifecycle.touched(node, "event"));
  }

  make(path: string, parent?: Directory, origin: Origin = "event"): Directory {
    const node: Directory = {
      path: `${parent?.path ?? ""}/${path}`,
      parent,
      children: new Set(),
      processes: 0,
      total: 0,
      gone: false,
      known: false,
    };
    parent?.children.add(node);
    this.all.push(node);
    this.#events.push(() => {
      if (node.gone || (parent !== undefined && !parent.known)) return;
      node.known = true;
      this.lifecycle.added(node, parent, this.now);
      this.lifecycle.scanned(node, origin);
    });
    return node;
  }

  /** Makes nested directories, each of which is found when the directory above it is listed. */
  makeTree(paths: readonly string[], parent: Directory): Directory[] {
    const nodes: Directory[] = [];
    for (const path of paths) nodes.push(this.make(path, nodes.at(-1) ?? parent));
    this.#events.splice(-nodes.length);
    this.#events.push(() => {
      const there = nodes.filter(({ gone }) => !gone && parent.known && !parent.gone);
      for (const node of there) {
        node.known = true;
        this.lifecycle.added(node, node.parent, this.now);
        this.now++;
      }
      for (const node of there.reverse()) this.lifecycle.scanned(node, "event");
    });
    return nodes;
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

  /** Lets a process start and end. */
  run(node: Directory, cpu = 1): void {
    this.start(node);
    this.stop(node, cpu);
  }

  charge(node: Directory, cpu: number): void {
    for (let each: Directory | undefined = node; each !== undefined; each = each.parent)
      each.total += cpu;
  }

  /** Removes a directory, as another program would, if it has neither processes nor children. */
  rmdir(node: Directory): void {
    if (node.gone || isPopulated(node) || node.children.size > 0) return;
    node.gone = true;
    node.parent?.children.delete(node);
    this.#events.push(() => this.lifecycle.removed(node));
  }

  deliver(): void {
    for (const event of this.#events.splice(0)) event();
  }

  work(): void {
    while (this.lifecycle.measureStep() || this.lifecycle.deleteStep());
  }

  /** Lets time pass; the lifecycle works whenever something is due. Returns what happened. */
  pass(ms = 0): string[] {
    const end = this.now + ms;
    this.deliver();
    this.work();
    for (;;) {
      const due = this.lifecycle.nextDueMs;
      if (due > end) break;
      this.now = Math.max(this.now, due);
      this.work();
    }
    this.now = end;
    return this.log.splice(0);
  }

  /** Reports to the lifecycle that all records are on the disk. Returns what happened then. */
  journal(): string[] {
    const numbers = [...this.told].filter(([, { fate }]) => fate === "waiting").map(([n]) => n);
    for (const told of this.told.values()) if (told.fate === "waiting") told.fate = "journalled";
    this.lifecycle.journalled(numbers);
    this.work();
    return this.log.splice(0);
  }
}
