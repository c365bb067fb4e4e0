/** Trees to work on, and cm4all-logname as a bundle that has nothing beside it. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type BundleCopy, copyBundle } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { builtCommand, builtModule } from "./build.ts";

export const debian =
  "# x\npasswd:  files systemd\ngroup:   files systemd\nhosts: files [NOTFOUND=return] dns\n";
export const installed =
  "# x\npasswd:  files systemd cm4all_logname\ngroup:   files systemd cm4all_logname\n" +
  "hosts: files [NOTFOUND=return] dns\n";

/** The command takes any ELF file named libc.so.6 for a C library, so our module will do. */
export const libc = (): Buffer => readFileSync(builtModule);

export let copy: BundleCopy;
/** An empty tree for each test. */
export let root: string;

/** Prepares the command and the trees. To be called once in a test file. */
export function prepareTrees(): void {
  beforeAll(() => {
    copy = copyBundle(builtCommand);
  });
  afterAll(() => {
    copy[Symbol.dispose]();
  });
  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "nss-command-")));
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });
}

export function put(path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
}

export const get = (path: string) => readFileSync(join(root, path), "utf8");

export function run(...args: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, [copy.program, ...args], {
    encoding: "utf8",
    cwd: copy.directory,
    // The command must wait for nothing, not even for the writer of a FIFO.
    timeout: 20_000,
  });
  return { status, stdout, stderr };
}

export const onTree = (command: string, ...args: string[]) => run(command, "--root", root, ...args);
