import { execFileSync } from "node:child_process";
import { closeSync, mkdirSync, mkdtempSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOfText, isErrno, setXattr } from "@cm4all/linux";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { OpenRoot } from "./open-root.ts";
import { TreeNode } from "./tree-node.ts";
import { XattrCache } from "./xattr-cache.ts";

const reading = vi.hoisted(() => ({ error: undefined as Error | undefined }));

vi.mock("@cm4all/cgroup", async (importOriginal) => {
  const original = await importOriginal<typeof import("@cm4all/cgroup")>();
  const readXattrs: typeof original.readXattrs = (fd, mode) => {
    if (reading.error !== undefined) throw reading.error;
    return original.readXattrs(fd, mode);
  };
  return { ...original, readXattrs };
});

const EMFILE = expect.objectContaining({ code: "EMFILE" });

let directory: string;
let root: OpenRoot;
const complain = vi.fn();
let cache: XattrCache<string>;

beforeEach(() => {
  // The tests use up all descriptors, and the machine's limit may be a million.
  execFileSync("prlimit", [`--pid=${process.pid}`, "--nofile=1024:"]);
  directory = mkdtempSync(join(tmpdir(), "xattr-cache-"));
  root = new OpenRoot(bytesOfText(directory));
  complain.mockReset();
  reading.error = undefined;
  cache = new XattrCache(root, complain);
});
afterEach(() => {
  root.close();
  rmSync(directory, { recursive: true });
});

/** Makes a directory with an attribute, and its node, which appears to be watched. */
function make(parent: TreeNode<string>, name: string): TreeNode<string> {
  const path = join(directory, parent.path.toString(), name);
  mkdirSync(path);
  withOpen(path, (fd) => setXattr(fd, "user.name", Buffer.from(name)));
  const node = new TreeNode(parent, bytesOfText(name), name, statSync(path).ino);
  node.directoryWd = 1;
  return node;
}

function withOpen(path: string, use: (fd: number) => void): void {
  const fd = openSync(path, "r");
  try {
    use(fd);
  } finally {
    closeSync(fd);
  }
}

function withoutDescriptors(work: () => void): void {
  const taken: number[] = [];
  try {
    for (;;) taken.push(openSync("/dev/null", "r"));
  } catch (error) {
    if (!isErrno(error, "EMFILE")) throw error;
    work();
  } finally {
    for (const fd of taken) closeSync(fd);
  }
}

/** Makes a scope with a job in it. */
function makeTree() {
  const scope = make(TreeNode.root("root", 1), "scope");
  const job = make(scope, "job");
  const mode = statSync(join(directory, "scope/job")).mode;
  const load = (fd: number) => cache.load(job, fd, mode);
  return { scope, job, path: join(directory, "scope/job"), load };
}

const table = (name: string) => [[bytesOfText("user.name"), bytesOfText(name)]];

it("reports a shortage of descriptors, and leaves out nothing once descriptors are free", () => {
  const { job, path, load } = makeTree();
  withOpen(path, (fd) => {
    withoutDescriptors(() => expect(() => load(fd)).toThrow(EMFILE));
    load(fd);
  });
  // Tables that were loaded need no descriptor.
  withoutDescriptors(() => expect(cache.of(job)).toEqual([table("job"), table("scope")]));
  expect(complain).not.toHaveBeenCalled();
});

it("reports a shortage of memory, and leaves out attributes that cannot be read for another reason", () => {
  const { job, path, load } = makeTree();
  reading.error = Object.assign(new Error("no memory"), { code: "ENOMEM" });
  expect(() => withOpen(path, load)).toThrow("no memory");
  expect(complain).not.toHaveBeenCalled();
  reading.error = Object.assign(new Error("no disk"), { code: "EIO" });
  withOpen(path, load);
  expect(complain).toHaveBeenCalledWith("read attributes", expect.stringContaining("no disk"));
  reading.error = undefined;
  expect(cache.of(job)).toEqual([table("job"), table("scope")]);
});

it("reads evicted tables again, even after an attempt without descriptors", () => {
  const { scope, job, path, load } = makeTree();
  withOpen(path, load);
  cache.forget(scope);
  withoutDescriptors(() => expect(cache.of(job)).toEqual([table("job")]));
  expect(complain).toHaveBeenCalledExactlyOnceWith("open", expect.stringContaining("EMFILE"));
  expect(cache.of(job)).toEqual([table("job"), table("scope")]);
});

/** Changes the attribute that `make` has set. */
const change = (path: string, value: string | Buffer) =>
  withOpen(path, (fd) => setXattr(fd, "user.name", Buffer.from(value)));

it("keeps nothing of a directory that is not watched", () => {
  const { job, path, load } = makeTree();
  job.directoryWd = undefined;
  withOpen(path, load);
  change(path, "other");
  expect(cache.of(job)).toEqual([table("other"), table("scope")]);
});

it("does not return the attributes of another directory at the same path", () => {
  const { scope, job, path } = makeTree();
  // The directory is kept, so that the new one does not get its inode.
  renameSync(path, `${path}-before`);
  make(scope, "job");
  expect(cache.of(job)).toEqual([[], table("scope")]);
});

it("keeps the most recently used large tables, as many as fit", () => {
  const value = Buffer.alloc(3500, "x");
  const scope = make(TreeNode.root("root", 1), "scope");
  const jobs = Array.from({ length: 1300 }, (_, i) => make(scope, `job-${i}`));
  const load = (node: TreeNode<string>) => {
    const path = join(directory, node.path.toString());
    change(path, value);
    withOpen(path, (fd) => cache.load(node, fd, statSync(path).mode));
  };
  const areKept = (from: number, to: number) =>
    withoutDescriptors(() => {
      for (const job of jobs.slice(from, to)) expect(cache.of(job)[0]).toHaveLength(1);
    });
  for (const job of jobs) load(job);
  areKept(300, 1300);
  expect(complain).not.toHaveBeenCalled();
  withoutDescriptors(() => {
    for (const job of jobs.slice(0, 50)) expect(cache.of(job)[0]).toEqual([]);
  });
  // Tables that were forgotten no longer count towards the limit.
  for (const job of jobs) cache.forget(job);
  for (const job of jobs.slice(0, 100)) load(job);
  areKept(0, 100);
});
