/**
 * Remembers where a thread was before it entered another mount namespace. If it was in a chroot,
 * setns(2) alone does not lead back there: it leads to the root of the mount namespace.
 */
import { constants, openSync } from "node:fs";
import { CLONE_NEWNS, changeRoot, Fd, openOwnNamespace, setns } from "@cm4all/linux";

export class Home {
  readonly #namespace: Fd;
  readonly #root: Fd;

  private constructor(namespace: Fd, root: Fd) {
    this.#namespace = namespace;
    this.#root = root;
  }

  /** Remembers where the calling thread is. The caller closes the result. */
  static ofThisThread(): Home {
    const namespace = openOwnNamespace("mnt");
    try {
      return new Home(namespace, openDirectory("/"));
    } catch (error) {
      namespace.close();
      throw error;
    }
  }

  /**
   * Brings the calling thread back. The thread must have unshared `CLONE_FS`. No path is used.
   * @throws SyscallError; the thread may then be anywhere
   */
  enter(): void {
    setns(this.#namespace.number, CLONE_NEWNS);
    changeRoot(this.#root.number);
  }

  /** Closes both descriptors. The thread stays where it is. */
  close(): void {
    this.#namespace.close();
    this.#root.close();
  }
}

/** Opens a directory, which the caller closes. */
export function openDirectory(path: string): Fd {
  return new Fd(openSync(path, constants.O_DIRECTORY));
}
