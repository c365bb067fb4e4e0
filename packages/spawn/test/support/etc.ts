/** An /etc of the daemon's own: users, and the directory of the scripts. */
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export class PrivateEtc {
  readonly #directory = mkdtempSync(join(tmpdir(), "etc-"));
  /** Where the scripts with the default names are, from outside. */
  readonly scripts = join(this.#directory, "cm4all/spawn");

  constructor() {
    chmodSync(this.#directory, 0o755);
    mkdirSync(this.scripts, { recursive: true });
    this.setUsers("");
  }

  /** @param users lines of passwd(5) besides root's */
  setUsers(users: string): void {
    writeFileSync(join(this.#directory, "passwd"), `root:x:0:0:root:/root:/bin/sh\n${users}`);
  }

  /** @param groups lines of group(5) */
  setGroups(groups: string): void {
    writeFileSync(join(this.#directory, "group"), groups);
  }

  /** Starts a program in a mount namespace where this is /etc. */
  get wrapper(): readonly string[] {
    const script = 'mount --bind "$0" /etc && exec "$@"';
    const unshare = ["unshare", "--mount", "--propagation", "private"];
    return [...unshare, "sh", "-c", script, this.#directory];
  }

  remove(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
