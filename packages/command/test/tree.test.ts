/** Tests that a path is walked as after chroot(2), whatever links somebody has put in the tree. */

import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type Found, openTree, Tree } from "../src/tree.ts";

/** Has the tree in `inside`, and in `outside` what must not be touched. */
let directory: string;
let root: string;
let tree: Tree;
beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "command-tree-")));
  root = join(directory, "inside");
  for (const name of ["inside/etc", "inside/usr/lib", "outside"])
    mkdirSync(join(directory, name), { recursive: true });
  writeFileSync(join(directory, "outside/conf"), "outside");
  writeFileSync(join(root, "etc/conf"), "inside");
  tree = new Tree(root);
});
afterEach(() => {
  tree[Symbol.dispose]();
  expect(readdirSync(join(directory, "outside"))).toEqual(["conf"]);
  expect(readFileSync(join(directory, "outside/conf"), "utf8")).toBe("outside");
  expect(openFiles()).toEqual([]);
  rmSync(directory, { recursive: true });
});

/** Returns a line for each file or directory of the test that this process has open. */
function openFiles(): string[] {
  const links = spawnSync("ls", ["-l", `/proc/${process.pid}/fd`], { encoding: "utf8" });
  return links.stdout.split("\n").filter((line) => line.includes(directory));
}

const link = (target: string, path: string) => symlinkSync(target, join(root, path));

/** Returns the place of a path and its contents. */
function look(path: string): [string, string | undefined] {
  using place = tree.locate(path);
  return [place.path, place.read(100)?.content.toString()];
}

describe("locate", () => {
  it.each([
    ["/etc/conf", "/etc/conf"],
    ["etc/conf", "/etc/conf"],
    ["//etc/.//conf", "/etc/conf"],
    ["/etc/../etc/conf", "/etc/conf"],
    ["/../../etc/conf", "/etc/conf"],
  ])("walks %s", (path, expected) => {
    expect(look(path)).toEqual([expected, "inside"]);
  });

  it.each([
    ["conf", "/etc/conf"],
    ["/etc/conf", "/etc/conf"],
    ["../etc/conf", "/etc/conf"],
    ["../../../../../../../../etc/conf", "/etc/conf"],
    ["/absolute/conf", "/etc/conf"],
    ["link2", "/etc/conf"],
  ])("follows a link to %s, inside the tree", (target, expected) => {
    link("/etc", "absolute");
    link("conf", "etc/link2");
    link(target, "etc/link");
    expect(look("/etc/link")).toEqual([expected, "inside"]);
  });

  it("never follows a link to the outside", () => {
    // Inside the tree, there is nothing at the paths to which the links lead.
    link(join(directory, "outside/conf"), "etc/absolute");
    link("../../outside/conf", "etc/relative");
    link(join(directory, "outside"), "directory");
    expect(() => tree.locate("/etc/absolute")).toThrow(/ENOENT/);
    expect(() => tree.locate("/etc/relative")).toThrow(/ENOENT/);
    expect(() => tree.locate("/directory/conf")).toThrow(/ENOENT/);
    // A file at the same path inside the tree is found.
    mkdirSync(join(root, directory, "outside"), { recursive: true });
    writeFileSync(join(root, directory, "outside/conf"), "within");
    expect(look("/etc/absolute")).toEqual([join(directory, "outside/conf"), "within"]);
    expect(look("/directory/conf")).toEqual([join(directory, "outside/conf"), "within"]);
  });

  it("finds the place of a file that does not exist", () => {
    link("new", "etc/link");
    expect(look("/etc/new")).toEqual(["/etc/new", undefined]);
    expect(look("/etc/link")).toEqual(["/etc/new", undefined]);
  });

  it.each([
    ["/no/conf", /ENOENT/],
    ["/etc/conf/x", /ENOENT/],
    ["/etc", /EISDIR/],
    ["/", /EISDIR/],
    ["/loop", /ELOOP/],
    ["/a/conf", /ELOOP/],
  ])("refuses %s", (path, message) => {
    link("loop", "loop");
    link("b", "a");
    link("a", "b");
    expect(() => tree.locate(path)).toThrow(message);
  });
});

describe("a place", () => {
  it("replaces the file with the given mode and owner, and leaves nothing beside it", () => {
    using place = tree.locate("/etc/conf");
    const before = statSync(join(root, "etc/conf"));
    place.replace(Buffer.from("new"), 0o640, before);
    expect(readdirSync(join(root, "etc"))).toEqual(["conf"]);
    expect(readFileSync(join(root, "etc/conf"), "utf8")).toBe("new");
    expect(statSync(join(root, "etc/conf"))).toMatchObject({ uid: before.uid, gid: before.gid });
    expect(statSync(join(root, "etc/conf")).mode & 0o7777).toBe(0o640);
  });

  it("stays where it was found, whatever happens to the path", () => {
    using place = tree.locate("/etc/conf");
    // Somebody in a container could do this between our look-up and our write.
    renameSync(join(root, "etc"), join(root, "moved"));
    link(join(directory, "outside"), "etc");
    expect(place.read(100)?.content.toString()).toBe("inside");
    place.replace(Buffer.from("new"), 0o644);
    expect(readFileSync(join(root, "moved/conf"), "utf8")).toBe("new");
  });

  it("is not read or written through a link that replaces the file", () => {
    using place = tree.locate("/etc/conf");
    rmSync(join(root, "etc/conf"));
    link(join(directory, "outside/conf"), "etc/conf");
    expect(() => place.read(100)).toThrow(/ELOOP/);
    place.replace(Buffer.from("new"), 0o644);
    expect(readFileSync(join(root, "etc/conf"), "utf8")).toBe("new");
  });

  it("leaves nothing beside the file when it cannot be replaced", () => {
    using place = tree.locate("/etc/new");
    mkdirSync(join(root, "etc/new"));
    expect(() => place.replace(Buffer.from("new"), 0o644)).toThrow(/EISDIR/);
    expect(readdirSync(join(root, "etc")).sort()).toEqual(["conf", "new"]);
  });
});

describe("a tree", () => {
  it("keeps its root directory, whatever happens to its path", () => {
    renameSync(root, join(directory, "moved"));
    symlinkSync(join(directory, "outside"), root);
    mkdirSync(join(directory, "moved/made"));
    expect(look("/etc/conf")).toEqual(["/etc/conf", "inside"]);
    expect(tree.tryList("/")?.names.sort()).toEqual(["etc", "made", "usr"]);
    using made = tree.makeDirectory("/made/here");
    made.replace("f", "new", 0o644);
    expect(readFileSync(join(directory, "moved/made/here/f"), "utf8")).toBe("new");
  });

  it("has its directory's real path, even if it was opened through a link", () => {
    symlinkSync("inside", join(directory, "link"));
    using linked = openTree(join(directory, "link/"));
    expect(linked.root).toBe(root);
    expect(() => openTree(join(root, "etc/conf"))).toThrow("conf: it is not a directory");
    expect(() => openTree(join(root, "none"))).toThrow(/cannot use the root directory .*ENOENT/);
  });
});

describe("tryList", () => {
  it("lists a directory under its real path", () => {
    link("usr/lib", "lib");
    link("/usr/lib", "lib64");
    for (const path of ["/lib", "/lib64", "/usr/lib/"])
      expect(tree.tryList(path)).toEqual({ path: "/usr/lib", names: [] });
    expect(tree.tryList("/")?.names.sort()).toEqual(["etc", "lib", "lib64", "usr"]);
  });

  it("returns undefined if there is none", () => {
    link(join(directory, "outside"), "away");
    link("loop", "loop");
    expect(tree.tryList("/no")).toBeUndefined();
    expect(tree.tryList("/etc/conf")).toBeUndefined();
    expect(tree.tryList("/away")).toBeUndefined();
    expect(tree.tryList("/loop")).toBeUndefined();
    expect(existsSync(join(root, "away/conf"))).toBe(true);
  });
});

describe("a directory of the tree", () => {
  const content = (found: Found) => (found.kind === "file" ? found.content.toString() : found);

  it("reports what is there, and follows no links", () => {
    link("conf", "etc/link");
    using etc = tree.tryOpenDirectory("/etc");
    expect(etc?.names().sort()).toEqual(["conf", "link"]);
    expect(etc?.look("none", 10)).toEqual({ kind: "nothing" });
    expect(etc && content(etc.look("conf", 10))).toBe("inside");
    expect(etc?.look("link", 10)).toEqual({ kind: "special", what: "a symbolic link to conf" });
    expect(() => etc?.look("conf", 5)).toThrow("more than 5 bytes");
    expect(tree.tryOpenDirectory("/etc/conf")).toBeUndefined();
    expect(tree.tryOpenDirectory("/none/x")).toBeUndefined();
  });

  it("is made with its parents, inside the tree, whatever links there are", () => {
    link(join(directory, "outside"), "etc/away");
    using made = tree.makeDirectory("/etc/away/a/b");
    made.replace("f", "new", 0o644);
    expect(readFileSync(join(root, directory, "outside/a/b/f"), "utf8")).toBe("new");
    made.remove("f");
    expect(made.names()).toEqual([]);
    expect(() => tree.makeDirectory("/etc/conf/a")).toThrow(/ENOTDIR/);
    expect(() => tree.makeDirectory("/etc/conf")).toThrow(/ENOTDIR/);
  });

  it("stays the same, whatever happens to its path", () => {
    using etc = tree.makeDirectory("/etc");
    renameSync(join(root, "etc"), join(root, "moved"));
    link(join(directory, "outside"), "etc");
    etc.replace("new", "new", 0o644);
    expect(readdirSync(join(root, "moved")).sort()).toEqual(["conf", "new"]);
  });
});

describe("show", () => {
  it("gives the path on this system", () => {
    expect(tree.show("/etc/conf")).toBe(join(root, "etc/conf"));
    using system = new Tree("/");
    expect(system.show("/etc/conf")).toBe("/etc/conf");
  });
});
