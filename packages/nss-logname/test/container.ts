/** A container with real programs, and with accounts that the module must not change. */
import { existsSync, mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { copyBundle } from "@cm4all/testing";
import { afterAll, beforeAll, beforeEach, expect } from "vitest";
import { builtCommand, builtModule, output } from "./build.ts";
import { Image, type Who } from "./image.ts";

/** The ids of the user; neither has an entry. */
export const uid = 54321;
export const gid = 54322;
export const env = { LOGNAME: "alice", HOME: "/tmp", SHELL: "/bin/bash" };
export const alice: Who = { uid, gid, env };
/** The entry that the module makes from these values. */
export const entry = `alice:x:${uid}:${gid}:alice:/tmp:/bin/bash\n`;

export const passwd = "root:x:0:0:root:/root:/bin/sh\nbob:x:1000:1000:Bob:/home/bob:/bin/sh\n";
export const group = "root:x:0:\nbob:x:1000:\nvideo:x:44:bob,alice\nstaff:x:50:bob\n";
export const configuration = "passwd: files\ngroup: files\n";

/** Returns a command line that runs a script in Python, with some modules imported. */
export function python(script: string): string[] {
  return ["python3", "-I", "-c", `import grp, os, pwd, threading\n${script}`];
}

/** Returns the test cases, with their command lines as titles. */
export function titled<T extends { command: readonly string[] }>(cases: readonly T[]) {
  return cases.map((each) => [each.command.join(" ").replace(/\n/g, "; "), each] as const);
}

const DEBIAN_NODE_MODULES = "/usr/share/nodejs";

export class Container extends Image {
  constructor() {
    super();
    for (const name of ["bash", "getent", "git", "id", "ls", "ssh", "whoami"])
      this.addProgram(`/usr/bin/${name}`);
    this.#addPython();
    this.bind(process.execPath);
    this.addLibrariesOf(process.execPath);
    // Debian's Node loads some of its own modules from there.
    if (existsSync(DEBIAN_NODE_MODULES)) this.bind(DEBIAN_NODE_MODULES);
  }

  /** Adds Python, with only the modules that our scripts load, and the modules' libraries. */
  #addPython(): void {
    this.addProgram("/usr/bin/python3");
    const [, ...args] = python(
      "import sys\n" +
        "for module in list(sys.modules.values()):\n" +
        "  if getattr(module, '__file__', None): print(module.__file__)",
    );
    for (const file of output("/usr/bin/python3", args).trim().split("\n")) {
      this.addFile(file);
      if (file.endsWith(".so")) this.addLibrariesOf(file);
      // Python looks for lib-dynload beside os.py, even if it needs nothing from it.
      if (basename(file) === "os.py")
        mkdirSync(`${this.root}${dirname(file)}/lib-dynload`, { recursive: true });
    }
  }

  /** Writes the files as they are before `cm4all-logname install`. */
  reset(): void {
    this.write("/etc/nsswitch.conf", configuration);
    this.write("/etc/passwd", passwd);
    this.write("/etc/group", group);
  }

  /** Runs `cm4all-logname` from outside: a copy of the bundle, alone in its directory. */
  command(...args: string[]): void {
    using copy = copyBundle(builtCommand);
    output(process.execPath, [copy.program, ...args, "--root", this.root]);
  }

  install(): void {
    this.command("install", "--module", builtModule);
  }

  /** Returns what a program inside prints; it has to exit with 0, and write nothing to stderr. */
  print(who: Who, ...command: string[]): string {
    const { stdout, stderr, status } = this.run(who, ...command);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    return stdout;
  }
}

/** The container: one for the whole test file. */
export let container: Container;

/** Prepares the container. To be called once, in the group of tests that needs it. */
export function prepareContainer(): void {
  beforeAll(() => {
    container = new Container();
  });
  afterAll(() => {
    container[Symbol.dispose]();
  });
  beforeEach(() => {
    container.reset();
  });
}
