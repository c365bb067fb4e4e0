import { execFileSync } from "node:child_process";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  type ByteString,
  bytesOfLatin1,
  bytesOfText,
  Inotify,
  latin1Of,
  SyscallError,
} from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { OpenRoot } from "../src/reaper/open-root.ts";
import type { TreeListener, TreeNode } from "../src/reaper/tree-node.ts";
import { TreeWatch } from "../src/reaper/tree-watch.ts";

let directory = "";
let root: OpenRoot;
let told: string[];
/** The nodes by path. */
const found = new Map<string, TreeNode<string>>();
const closers: (() => void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tree-watch-"));
  root = new OpenRoot(bytesOfText(directory));
  closers.push(() => root.close());
  told = [];
});

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  // rm(1) also removes paths that are too long for Node.
  execFileSync("rm", ["-r", directory]);
});

const listener: TreeListener<string> = {
  added: (node, origin) => {
    found.set(latin1Of(node.path), node);
    told.push(`+${latin1Of(node.path)} ${origin}`);
  },
  scanned: (node) => told.push(`.${latin1Of(node.path)}`),
  touched: (node) => told.push(`~${latin1Of(node.path)}`),
  attributesChanged: (node) => told.push(`*${latin1Of(node.path)}`),
  removed: (node) => told.push(`-${latin1Of(node.path)}`),
  missed: (parent) => told.push(`?${latin1Of(parent.path)}`),
  started: () => told.push("started"),
  startRefused: () => told.push("refused"),
  overflowed: () => told.push("overflowed"),
  unwatchable: (path, error) => told.push(`!${latin1Of(path)} ${(error as SyscallError).code}`),
};

/**
 * Watches all directories except those named `other`, and the file `state` in each directory below
 * the top level.
 */
function open(inotify = new Inotify()): TreeWatch<string> {
  const rules = {
    rootPlace: "root",
    enter: (place: string, name: ByteString) =>
      latin1Of(name) === "other" ? undefined : place === "root" ? "top" : "below",
    file: (place: string) => (place === "below" ? "state" : undefined),
  };
  const tree = new TreeWatch(root, rules, listener);
  tree.useInotify(inotify);
  closers.push(() => tree.close());
  return tree;
}

function make(path: string): void {
  mkdirSync(join(directory, path), { recursive: true });
  writeFileSync(join(directory, path, "state"), "");
}

function remove(path: string): void {
  rmSync(join(directory, path), { recursive: true });
}

/** Does all pending work. */
function work<Place>(tree: TreeWatch<Place>): void {
  do tree.noteEvents();
  while (tree.step());
}

/** Returns the calls to the listener since the last call of this function. */
function news(tree: TreeWatch<string>): string[] {
  work(tree);
  return told.splice(0);
}

function start<Place>(tree: TreeWatch<Place>): void {
  work(tree);
  expect(told.pop()).toBe("started");
}

function finish<T>(steps: Generator<void, T>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done === true) return value;
  }
}

describe("TreeWatch", () => {
  it("reports what is there, parents first, and then that everything below a directory is known", () => {
    make("a/b");
    make("a/c");
    make("other/d");
    start(open());
    expect(told.slice(0, 1)).toEqual(["+/a start"]);
    expect(told.slice(1, -1).sort()).toEqual(["+/a/b start", "+/a/c start", "./a/b", "./a/c"]);
    expect(told.slice(-1)).toEqual(["./a"]);
  });

  it("leaves alone file systems that are mounted below the root", () => {
    expect(statSync("/proc").dev).not.toBe(statSync("/").dev);
    const top = new OpenRoot(bytesOfText("/"));
    closers.push(() => top.close());
    const enter = (place: string, name: ByteString) =>
      place === "root" && ["etc", "proc"].includes(latin1Of(name)) ? "top" : undefined;
    const tree = new TreeWatch(top, { rootPlace: "root", enter, file: () => undefined }, listener);
    expect(news(tree)).toEqual(["+/etc start", "./etc", "started"]);
  });

  it("reports directories that come and go, and changes of the watched file", () => {
    const tree = open();
    start(tree);
    make("a/b");
    make("other");
    expect(news(tree)).toEqual(["+/a event", "+/a/b event", "./a/b", "./a"]);
    writeFileSync(join(directory, "a/b/state"), "x");
    writeFileSync(join(directory, "a/b/else"), "x");
    writeFileSync(join(directory, "a/state"), "x");
    expect(news(tree)).toEqual(["~/a/b"]);
    remove("a/b");
    expect(news(tree)).toEqual(["-/a/b"]);
    remove("a");
    expect(news(tree)).toEqual(["-/a"]);
    expect(tree.watches).toBe(1);
  });

  it("finds directories that were made faster than they could be watched", () => {
    const tree = open();
    start(tree);
    make("a/b/c/d");
    expect(news(tree).filter((line) => line.startsWith("+"))).toEqual([
      "+/a event",
      "+/a/b event",
      "+/a/b/c event",
      "+/a/b/c/d event",
    ]);
  });

  it("reports the lowest directories first when a tree is removed", () => {
    make("a/b/c");
    const tree = open();
    start(tree);
    news(tree);
    remove("a");
    expect(news(tree)).toEqual(["-/a/b/c", "-/a/b", "-/a"]);
  });

  it("treats a rename as a removal and a new directory", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    renameSync(join(directory, "a/b"), join(directory, "a/c"));
    expect(news(tree)).toEqual(["-/a/b", "+/a/c event", "./a/c"]);
  });

  it("distinguishes a directory from its successor of the same name", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    remove("a/b");
    make("a/b");
    expect(news(tree)).toEqual(["-/a/b", "+/a/b event", "./a/b"]);
    writeFileSync(join(directory, "a/b/state"), "x");
    expect(news(tree)).toEqual(["~/a/b"]);
  });

  it("knows the right directories, however many come and go between two reads of events", () => {
    const tree = open();
    start(tree);
    for (let i = 0; i < 200; i++) {
      make(`a/b${i % 7}/c`);
      if (i % 3 === 0) remove(`a/b${i % 7}`);
      if (i % 50 === 0) news(tree);
    }
    news(tree);
    expect(finish(tree.compare())).toEqual([]);
  });

  it("reports that it has started only after it has looked at all directories", () => {
    for (const path of ["a/b", "c/d", "e"]) make(path);
    const withDirectory = root.withDirectory.bind(root);
    let refused: string | undefined = "/c";
    root.withDirectory = (path, use) => {
      if (latin1Of(path) === refused) throw Object.assign(new Error(), { code: "EMFILE" });
      return withDirectory(path, use);
    };
    const tree = open();
    expect(news(tree).filter((line) => !/^[.]|start$/.test(line))).toEqual([
      "!/c EMFILE",
      "refused",
    ]);
    tree.startAgain();
    expect(news(tree)).toEqual(["!/c EMFILE", "refused"]);
    refused = undefined;
    make("f");
    expect(news(tree)).toEqual(["+/f event", "./f"]);
    // This is what a periodic check does.
    finish(tree.apply(finish(tree.compare())));
    expect(news(tree)).toEqual(["+/c late", "+/c/d late", "./c/d", "./c"]);
    tree.startAgain();
    expect(news(tree)).toEqual(["started"]);
  });

  it("starts without a directory that it cannot look at, if the reason is not a shortage", () => {
    make("a");
    root.withDirectory = () => {
      throw Object.assign(new Error(), { code: "EACCES" });
    };
    expect(news(open())).toEqual(["!/a EACCES", "started"]);
  });

  it("survives an overflow of the kernel's queue", { timeout: 60_000 }, () => {
    make("a/keep");
    make("a/gone");
    make("a/replaced/old");
    const tree = open();
    start(tree);
    news(tree);
    // Two kinds of events in turn, because the kernel merges successive equal ones. Its queue holds
    // 16,384 events.
    for (let i = 0; i < 9000; i++) {
      mkdirSync(join(directory, "a/x"));
      rmdirSync(join(directory, "a/x"));
    }
    remove("a/gone");
    remove("a/replaced");
    make("a/replaced/new");
    make("a/new/below");
    const lines = news(tree);
    expect(tree.overflows).toBeGreaterThan(0);
    expect(lines).toContain("-/a/gone");
    expect(lines).toContain("-/a/replaced/old");
    expect(lines).toContain("+/a/replaced/new comparison");
    expect(lines).toContain("+/a/new/below comparison");
    expect(lines).toContain("~/a/keep");
    expect(finish(tree.compare())).toEqual([]);
  });

  it("compares directories as long as it has no inotify, and watches them later", () => {
    make("a/b");
    const tree = new TreeWatch(
      root,
      { rootPlace: 0, enter: (place: number) => place + 1, file: () => undefined },
      listener as unknown as TreeListener<number>,
    );
    closers.push(() => tree.close());
    start(tree);
    told.splice(0);
    make("a/c");
    remove("a/b");
    const differences = finish(tree.compare());
    expect(differences.map(({ kind, name }) => `${kind} ${latin1Of(name)}`)).toEqual([
      "gone b",
      "appeared c",
    ]);
    finish(tree.apply(differences));
    expect(told.splice(0)).toEqual(["-/a/b", "+/a/c comparison", "./a/c"]);
    expect(tree.unwatched).toBe(3);
    tree.useInotify(new Inotify());
    finish(tree.retryWatches());
    expect(tree.unwatched).toBe(0);
    make("a/d");
    work(tree);
    expect(told).toEqual(["+/a/d event", "./a/d"]);
  });

  it("goes on when the kernel allows no more watches, and adds them later", () => {
    const inotify = new Inotify();
    const watch = inotify.watch.bind(inotify);
    let left = 2;
    inotify.watch = (path, mask) => {
      if (left-- <= 0) throw new SyscallError("inotify_add_watch", 28);
      return watch(path, mask);
    };
    make("a/b");
    const tree = open(inotify);
    start(tree);
    expect(told.splice(0)).toEqual(["+/a start", "!/a/b ENOSPC", "+/a/b start", "./a/b", "./a"]);
    expect(tree.unwatched).toBe(1);
    left = 100;
    finish(tree.retryWatches());
    expect(tree.unwatched).toBe(0);
    writeFileSync(join(directory, "a/b/state"), "x");
    expect(news(tree)).toEqual(["~/a/b"]);
  });

  it("forgets a directory that the caller removes itself", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    const node = found.get("/a/b");
    if (node === undefined) throw new Error("it was not found");
    rmSync(join(directory, "a/b"), { recursive: true });
    tree.forget(node);
    expect(news(tree)).toEqual([]);
    expect(tree.watches).toBe(2);
  });

  it("reports a change that was queued before the directory was removed", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    writeFileSync(join(directory, "a/b/state"), "x");
    remove("a/b");
    expect(news(tree)).toEqual(["~/a/b", "-/a/b"]);
  });

  it("reports changes to a directory's attributes, but not to those of a file in it", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    chmodSync(join(directory, "a/b"), 0o700);
    chmodSync(join(directory, "a/b/state"), 0o600);
    chmodSync(join(directory, "a"), 0o700);
    expect(news(tree)).toEqual(["*/a/b", "*/a"]);
  });

  it("finds out by reading ahead which attributes have changed, before it handles the events", () => {
    make("a/b");
    const tree = open();
    start(tree);
    news(tree);
    // More than a buffer of events.
    const names = Array.from({ length: 1500 }, (_, i) => `a/${"c".repeat(40)}${i}`);
    for (const name of names) make(name);
    tree.noteEvents();
    tree.step();
    chmodSync(join(directory, "a/b"), 0o700);
    expect(told).not.toContain("*/a/b");
    expect(tree.tryReadAhead()).toBe(true);
    expect(told).toContain("*/a/b");
    expect(told.length).toBeLessThan(10);
    expect(tree.tryReadAhead()).toBe(true);
    expect(tree.isBusy).toBe(true);
    const lines = news(tree);
    const added = lines.filter((line) => line.startsWith("+"));
    expect(added).toEqual(names.map((name) => `+/${name} event`));
    expect(lines.filter((line) => line === "*/a/b")).toHaveLength(1);
    expect(finish(tree.compare())).toEqual([]);
    expect(tree.isBusy).toBe(false);
  });

  it("reads ahead until too many events wait to be handled, and again later", () => {
    make("a");
    const tree = open();
    start(tree);
    news(tree);
    const path = join(directory, "a", "x".repeat(250));
    const flood = (pairs: number) => {
      for (let i = 0; i < pairs; i++) {
        mkdirSync(path);
        rmdirSync(path);
      }
    };
    flood(100);
    expect(tree.tryReadAhead()).toBe(true);
    for (let i = 0; i < 5; i++) {
      flood(1000);
      tree.tryReadAhead();
    }
    chmodSync(join(directory, "a"), 0o700);
    expect(tree.tryReadAhead()).toBe(false);
    expect(told).not.toContain("*/a");
    expect(news(tree)).toContain("*/a");
    expect(tree.overflows).toBe(0);
    expect(tree.tryReadAhead()).toBe(true);
  });

  it("reads ahead through any number of changes of attributes, which need no handling", () => {
    make("a");
    make("b");
    const tree = open();
    start(tree);
    news(tree);
    // A change makes an event of 16 bytes for the directory and one of 32 bytes for its parent. An
    // event that equals the last one in the queue is not queued, so the directories alternate.
    for (let done = 0; done < 3 * 1024 * 1024; done += 2000 * (16 + 32)) {
      for (let i = 0; i < 2000; i++) chmodSync(join(directory, i % 2 === 0 ? "a" : "b"), 0o700);
      expect(tree.tryReadAhead()).toBe(true);
      expect(told.splice(0)).toHaveLength(2000);
    }
    expect(tree.isBusy).toBe(false);
  });

  it("settles although attributes change without end", () => {
    make("a");
    make("b");
    const tree = open();
    start(tree);
    news(tree);
    const change = () => {
      for (const name of ["a", "b"]) chmodSync(join(directory, name), 0o700);
    };
    change();
    const settling = tree.settle();
    let steps = 0;
    for (; settling.next().done !== true && steps < 10; steps++) {
      tree.step();
      change();
      tree.noteEvents();
    }
    expect(steps).toBeLessThan(3);
  });

  it("settles when the events that were queued have been handled, although more come", () => {
    make("a");
    const tree = open();
    start(tree);
    news(tree);
    for (let i = 0; i < 3; i++) make(`a/b${i}`);
    const settling = tree.settle();
    let steps = 0;
    for (; settling.next().done !== true && steps < 1000; steps++) {
      for (let i = 0; i < 3; i++) make(`a/c${steps}-${i}`);
      tree.step();
    }
    expect(steps).toBeLessThan(100);
    for (let i = 0; i < 3; i++) expect(told).toContain(`+/a/b${i} event`);
    told.splice(0);
    expect(news(tree).length).toBeGreaterThan(0);
    expect(tree.settle().next().done).toBe(true);
  });

  it("settles when the scan that is under way has ended", () => {
    for (let i = 0; i < 5; i++) make(`a/b${i}`);
    const tree = open();
    tree.step();
    const settling = tree.settle();
    while (settling.next().done !== true) tree.step();
    expect(told).toContain("started");
  });

  it("reports as missed what came and went before it could be looked at", () => {
    make("a");
    const tree = open();
    start(tree);
    news(tree);
    make("a/gone");
    remove("a/gone");
    make("a/b");
    remove("a/b");
    make("a/b");
    make("a/c/d");
    mkdirSync(join(directory, "other"));
    rmdirSync(join(directory, "other"));
    const lines = news(tree);
    expect(lines.filter((line) => line === "?/a")).toHaveLength(2);
    expect(lines.filter((line) => line.startsWith("?"))).toHaveLength(2);
    make("a/c/e");
    expect(news(tree)).toEqual(["+/a/c/e event", "./a/c/e"]);
  });

  it("handles one directory or event in each step, and does nothing while it has no work", () => {
    for (let i = 0; i < 20; i++) make(`a/b${i}`);
    const tree = open();
    let steps = 0;
    for (let most = 0; tree.step(); most = told.length, steps++)
      expect(told.length - most).toBeLessThanOrEqual(2);
    expect(steps).toBeGreaterThan(20);
    told.splice(0);
    for (let i = 0; i < 20; i++) writeFileSync(join(directory, `a/b${i}/state`), "x");
    expect(tree.step()).toBe(false);
    tree.noteEvents();
    for (steps = 0; told.length === 0; steps++) tree.step();
    expect(told).toHaveLength(1);
    expect(tree.isBusy).toBe(true);
  });

  it("keeps a directory that it cannot look at for lack of descriptors, and starts only when it can", () => {
    make("a/b");
    make("other");
    const tree = open();
    start(tree);
    news(tree);
    const tryStatus = root.tryStatus.bind(root);
    let isShort = true;
    root.tryStatus = (path) => {
      // Long paths need a descriptor for each of their steps.
      if (isShort) throw Object.assign(new Error(), { code: "EMFILE" });
      return tryStatus(path);
    };
    // Renamed, not removed: unlike in cgroupfs, a removal would end the watch in this file system.
    renameSync(join(directory, "a/b"), join(directory, "other/b"));
    make("a/c");
    remove("a/c");
    expect(news(tree)).toEqual(["!/a/b EMFILE", "!/a/c EMFILE"]);
    expect(finish(tree.compare())).toEqual([]);
    expect(told.splice(0)).toEqual(["!/a EMFILE", "!/a/b EMFILE"]);
    tree.startAgain();
    expect(news(tree)).toEqual(["!/a EMFILE", "!/a/b EMFILE", "refused"]);
    isShort = false;
    tree.startAgain();
    expect(news(tree)).toEqual(["-/a/b", "started"]);
  });

  it("accepts names of any bytes, and paths longer than the kernel accepts in one call", () => {
    const hostile = ["a\nb", "'\"\\", "\xff\xfe", "x".repeat(255)];
    mkdirSync(join(directory, "a"));
    for (const name of hostile) mkdirSync(Buffer.from(`${directory}/a/${name}`, "latin1"));
    const tree = open();
    start(tree);
    expect(told.filter((line) => line.startsWith("+/a/")).sort()).toEqual(
      hostile.map((name) => `+/a/${name} start`).sort(),
    );
    let path = "/a";
    const below = "y".repeat(250);
    for (let i = 0; i < 20; i++) {
      path += `/${below}`;
      root.at(bytesOfLatin1(path), (fd, rest) =>
        mkdirSync(`/proc/self/fd/${fd}/${latin1Of(rest)}`),
      );
    }
    expect(news(tree).filter((line) => line.startsWith("+"))).toHaveLength(20 + hostile.length + 1);
    expect(finish(tree.compare())).toEqual([]);
  });
});
