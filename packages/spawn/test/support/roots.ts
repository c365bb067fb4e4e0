/** Root file systems that a daemon must leave alone when it is started in them. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { lstatSync, mkdirSync, mkdtempSync, openSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The top-level directories of this host, without symbolic links. */
const TOP = readdirSync("/").filter((name) => lstatSync(`/${name}`).isDirectory());
const LINKS = readdirSync("/").filter((name) => lstatSync(`/${name}`).isSymbolicLink());

/**
 * A directory that stands for a system's root, with a chroot `jail` in it. Everything is mounted in
 * a separate mount namespace: seen from outside, the directory has only what was written to the
 * directory itself.
 */
export class FakeRoot implements Disposable {
  readonly directory = mkdtempSync(join(tmpdir(), "fake-root-"));

  /** @param omitted the name of a top-level directory that this root lacks */
  constructor(omitted = "") {
    for (const top of [this.directory, join(this.directory, "jail")]) {
      for (const name of TOP) if (name !== omitted) mkdirSync(join(top, name), { recursive: true });
      if (LINKS.length > 0) execFileSync("cp", ["-P", ...LINKS.map((name) => `/${name}`), top]);
    }
    mkdirSync(join(this.directory, "old"));
  }

  /** Lists all files with type, mode, size, mtime, ctime and a checksum of the contents. */
  contents(): string {
    const script =
      "find . -printf '%p %y %m %s %T@ %C@\\n' | sort; find . -type f -exec cksum {} +";
    return execFileSync("sh", ["-c", script], { cwd: this.directory, encoding: "utf8" });
  }

  /**
   * Returns the start of a command line that runs a program in the chroot.
   * @param isMount true if the root of the chroot is to be a mount point
   */
  chroot(isMount: boolean): string[] {
    const bind = (top: string) =>
      `for name in ${TOP.join(" ")}; do
        [ ! -d "${top}/$name" ] || mount --rbind "/$name" "${top}/$name"
      done`;
    const script = `set -e
      mount --bind "${this.directory}" "${this.directory}"
      ${isMount ? `mount --rbind / "${this.directory}/jail"` : bind(`${this.directory}/jail`)}
      ${bind(this.directory)}
      cd "${this.directory}"
      pivot_root . old
      umount -l /old
      exec chroot /jail "$@"`;
    return ["unshare", "--mount", "sh", "-c", script, "sh"];
  }

  [Symbol.dispose](): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** A process in a mount namespace of its own. The process ends when this object is disposed of. */
export class MountNamespace implements Disposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /**
   * @param prepare shell commands that mount a new root on `directory`
   */
  static async withRoot(directory: string, prepare: string): Promise<MountNamespace> {
    const script = `set -e; ${prepare}
      cd "${directory}"; mkdir -p old; pivot_root . old; echo ready; read line`;
    const child = spawn("unshare", ["--mount", "sh", "-c", script], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    await once(child.stdout, "data");
    return new MountNamespace(child);
  }

  /** Opens the namespace. The caller closes the descriptor. */
  open(): number {
    return openSync(`/proc/${this.#child.pid}/ns/mnt`, "r");
  }

  [Symbol.dispose](): void {
    this.#child.stdin?.end();
  }
}
