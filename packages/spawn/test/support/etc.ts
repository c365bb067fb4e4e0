/** A separate /etc for the daemon, with users and a directory for scripts. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class PrivateEtc {
  readonly #directory = mkdtempSync(join(tmpdir(), "etc-"));
  /**
   * The directory for scripts with default names; this is its path outside the daemon's mount
   * namespace.
   */
  readonly scripts = join(this.#directory, "cm4all/spawn");

  constructor() {
    chmodSync(this.#directory, 0o755);
    mkdirSync(this.scripts, { recursive: true });
    this.setUsers("");
  }

  /** @param users lines of passwd(5) in addition to root's */
  setUsers(users: string): void {
    writeFileSync(join(this.#directory, "passwd"), `root:x:0:0:root:/root:/bin/sh\n${users}`);
  }

  /** @param groups lines of group(5) */
  setGroups(groups: string): void {
    writeFileSync(join(this.#directory, "group"), groups);
  }

  /** Returns a command that starts a program in a mount namespace whose /etc is this directory. */
  get wrapper(): readonly string[] {
    const script = 'mount --bind "$0" /etc && exec "$@"';
    const unshare = ["unshare", "--mount", "--propagation", "private"];
    return [...unshare, "sh", "-c", script, this.#directory];
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
