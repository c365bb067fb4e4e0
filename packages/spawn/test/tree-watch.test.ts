import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeFileSync } from "node:fs";
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
import { type TreeListener, type TreeNode, TreeWatch } from "../src/reaper/tree-watch.ts";

let directory = "";
let root: OpenRoot;
let told: string[];
const closers: (() => void)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "tree-watch-"));
  root = new OpenRoot(bytesOfText(directory));
  closers.push(() => root.close());
  told = [];
});

afterEach(() => {
  for (const close of closers.splice(0).reverse()) close();
  // rm(1) takes also what has a longer path than Node can name.
  execFileSync("rm", ["-r", directory]);
});

const listener: TreeListener<string> = {
  added: (node, origin) => told.push(`+${latin1Of(node.path)} ${origin}`),
  scanned: (node) => told.push(`.${latin1Of(node.path)}`),
  touched: (node) => told.push(`~${latin1Of(node.path)}`),
  removed: (node) => told.push(`-${latin1Of(node.path)}`),
  unwatchable: (path, error) => told.push(`!${latin1Of(path)} ${(error as SyscallError).code}`),
};

/** All directories but those named `other`; the file `state` in each but the top ones. */
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

/** What was told since the last time. */
function news(tree: TreeWatch<string>): string[] {
  while (tree.handleEvents());
  return told.splice(0);
}

describe("TreeWatch", () => {
  it("adds what is there, parents first, and tells when all below is known", () => {
    make("a/b");
    make("a/c");
    make("other/d");
    open().start();
    expect(told.slice(0, 1)).toEqual(["+/a start"]);
    expect(told.slice(1, -1).sort()).toEqual(["+/a/b start", "+/a/c start", "./a/b", "./a/c"]);
    expect(told.slice(-1)).toEqual(["./a"]);
  });

  it("tells of directories that come and go, and of changes of the file", () => {
    const tree = open();
    tree.start();
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
    tree.start();
    make("a/b/c/d");
    expect(news(tree).filter((line) => line.startsWith("+"))).toEqual([
      "+/a event",
      "+/a/b event",
      "+/a/b/c event",
      "+/a/b/c/d event",
    ]);
  });

  it("tells those below first when a tree goes", () => {
    make("a/b/c");
    const tree = open();
    tree.start();
    news(tree);
    remove("a");
    expect(news(tree)).toEqual(["-/a/b/c", "-/a/b", "-/a"]);
  });

  it("takes a rename for a removal and a new directory", () => {
    make("a/b");
    const tree = open();
    tree.start();
    news(tree);
    renameSync(join(directory, "a/b"), join(directory, "a/c"));
    expect(news(tree)).toEqual(["-/a/b", "+/a/c event", "./a/c"]);
  });

  it("keeps apart a directory and its successor of the same name", () => {
    make("a/b");
    const tree = open();
    tree.start();
    news(tree);
    remove("a/b");
    make("a/b");
    expect(news(tree)).toEqual(["-/a/b", "+/a/b event", "./a/b"]);
    writeFileSync(join(directory, "a/b/state"), "x");
    expect(news(tree)).toEqual(["~/a/b"]);
  });

  it("ends up right whatever comes and goes at once", () => {
    const tree = open();
    tree.start();
    for (let i = 0; i < 200; i++) {
      make(`a/b${i % 7}/c`);
      if (i % 3 === 0) remove(`a/b${i % 7}`);
      if (i % 50 === 0) news(tree);
    }
    news(tree);
    expect(tree.compare()).toEqual([]);
  });

  it("survives an overflow of the kernel's queue", { timeout: 60_000 }, () => {
    make("a/keep");
    make("a/gone");
    make("a/replaced/old");
    const tree = open();
    tree.start();
    news(tree);
    // Two kinds of events in turn, as the kernel merges equal ones; its limit is 16,384.
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
    expect(tree.compare()).toEqual([]);
  });

  it("works without inotify by comparing, and watches later", () => {
    make("a/b");
    const tree = new TreeWatch(
      root,
      { rootPlace: 0, enter: (place: number) => place + 1, file: () => undefined },
      listener as unknown as TreeListener<number>,
    );
    closers.push(() => tree.close());
    tree.start();
    told.splice(0);
    make("a/c");
    remove("a/b");
    const differences = tree.compare();
    expect(differences.map(({ kind, name }) => `${kind} ${latin1Of(name)}`)).toEqual([
      "gone b",
      "appeared c",
    ]);
    tree.apply(differences);
    expect(told.splice(0)).toEqual(["-/a/b", "+/a/c comparison", "./a/c"]);
    expect(tree.unwatched).toBe(3);
    tree.useInotify(new Inotify());
    tree.retryWatches();
    expect(tree.unwatched).toBe(0);
    make("a/d");
    while (tree.handleEvents());
    expect(told).toEqual(["+/a/d event", "./a/d"]);
  });

  it("goes on when the kernel has no more watches, and gets them later", () => {
    const inotify = new Inotify();
    const watch = inotify.watch.bind(inotify);
    let left = 2;
    inotify.watch = (path, mask) => {
      if (left-- <= 0) throw new SyscallError("inotify_add_watch", 28);
      return watch(path, mask);
    };
    make("a/b");
    const tree = open(inotify);
    tree.start();
    expect(told.splice(0)).toEqual(["+/a start", "!/a/b ENOSPC", "+/a/b start", "./a/b", "./a"]);
    expect(tree.unwatched).toBe(1);
    left = 100;
    tree.retryWatches();
    expect(tree.unwatched).toBe(0);
    writeFileSync(join(directory, "a/b/state"), "x");
    expect(news(tree)).toEqual(["~/a/b"]);
  });

  it("forgets a directory that the caller removes itself", () => {
    make("a/b");
    const tree = open();
    let node: TreeNode<string> | undefined;
    listener.touched = (touched) => {
      node = touched;
    };
    tree.start();
    news(tree);
    writeFileSync(join(directory, "a/b/state"), "x");
    while (tree.handleEvents());
    if (node === undefined) throw new Error("no event");
    rmSync(join(directory, "a/b"), { recursive: true });
    tree.forget(node);
    expect(news(tree)).toEqual([]);
    expect(tree.watches).toBe(2);
  });

  it("takes names of any bytes, and paths longer than the kernel takes at once", () => {
    const hostile = ["a\nb", "'\"\\", "\xff\xfe", "x".repeat(255)];
    mkdirSync(join(directory, "a"));
    for (const name of hostile) mkdirSync(Buffer.from(`${directory}/a/${name}`, "latin1"));
    const tree = open();
    tree.start();
    expect(told.filter((line) => line.startsWith("+/a/")).sort()).toEqual(
      hostile.map((name) => `+/a/${name} start`).sort(),
    );
    let path = "/a";
    const below = "y".repeat(250);
    for (let i = 0; i < 20; i++) {
      path += `/${below}`;
      root.at(bytesOfLatin1(path), (name) => mkdirSync(name));
    }
    expect(news(tree).filter((line) => line.startsWith("+"))).toHaveLength(20 + hostile.length + 1);
    expect(tree.compare()).toEqual([]);
  });
});
