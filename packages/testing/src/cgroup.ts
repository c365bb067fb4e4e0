/** Makes cgroups for a test, below a directory in this machine's cgroup2 hierarchy. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Returns the mount point of cgroup2; undefined if it is not mounted. */
export function cgroup2Mount(): string | undefined {
  const mount = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .find((line) => line.includes(" - cgroup2 "));
  return mount?.split(" ")[4];
}

let count = 0;

/** A cgroup for a test. `remove` ends all processes in it and deletes everything. */
export class ScratchCgroup {
  readonly path: string;

  /**
   * @param name the path below the root of cgroup2; the cgroup may exist already. The default is a
   *   name that no other cgroup has.
   */
  constructor(name = `spawn-test-${process.pid}-${++count}`) {
    const mount = cgroup2Mount();
    if (mount === undefined) throw new Error("cgroup2 is not mounted");
    this.path = join(mount, name);
    mkdirSync(this.path, { recursive: true });
  }

  /** Makes a cgroup and its missing ancestors. @returns its full path */
  make(name: string): string {
    const path = join(this.path, name);
    mkdirSync(path, { recursive: true });
    return path;
  }

  /** Runs a shell command in a cgroup, which is made if it does not exist. */
  run(name: string, command = "exec sleep 1000"): ChildProcess {
    const procs = join(this.make(name), "cgroup.procs");
    return spawn("sh", ["-c", `echo $$ > "$1" && ${command}`, "sh", procs], { stdio: "ignore" });
  }

  /**
   * Returns whether a process is in a cgroup or below it. A process that `run` starts enters the
   * cgroup a moment after `run` has returned.
   */
  isPopulated(name: string): boolean {
    return readFileSync(join(this.path, name, "cgroup.events"), "latin1").includes("populated 1");
  }

  /** Runs a shell command in a cgroup, and waits until it has ended. */
  async runToEnd(name: string, command = ":"): Promise<void> {
    const child = this.run(name, command);
    await new Promise((resolve, reject) => {
      child.on("error", reject);
      child.on("exit", resolve);
    });
  }

  /** Removes an empty cgroup below this one. @throws the error of rmdir(2) */
  removeEmpty(name: string): void {
    rmdirSync(join(this.path, name));
  }

  /** Ends everything in the cgroup and deletes it. */
  async remove(): Promise<void> {
    // A killed process leaves its cgroup a moment later.
    for (let attempt = 0; ; attempt++) {
      try {
        return removeTree(Buffer.from(this.path));
      } catch (error) {
        if (attempt === 200) throw error;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    }
  }
}

/**
 * Removes a cgroup and everything below it. Names are bytes, because tests also use names that are
 * not UTF-8.
 */
function removeTree(path: Buffer): void {
  const below = (name: string | Buffer) =>
    Buffer.concat([path, Buffer.from("/"), Buffer.from(name)]);
  let names: Buffer[];
  try {
    names = readdirSync(path, { withFileTypes: true, encoding: "buffer" })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch (error) {
    if (isGone(error)) return;
    throw error;
  }
  ignoreGone(() => writeFileSync(below("cgroup.kill"), "1"));
  for (const name of names) removeTree(below(name));
  ignoreGone(() => rmdirSync(path));
}

function ignoreGone(work: () => void): void {
  try {
    work();
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

function isGone(error: unknown): boolean {
  return (
    error instanceof Error && "code" in error && ["ENOENT", "ENODEV"].includes(String(error.code))
  );
}
