/**
 * The place where namespaces survive the daemon: a tmpfs in a mount namespace that nobody else
 * sees. The service manager keeps one descriptor, that of the mount namespace, and thereby
 * everything, so that neither the number of its descriptors nor the cost of a request grows with
 * the number of names. (systemd's own file descriptor store is not suitable for ten thousand
 * entries: their names come back in one environment string, which execve(2) limits to 128 KiB.)
 *
 *     /format               identifies a store and its version
 *     /proc                 the procfs of the host, for /proc/thread-self and /proc/PID
 *     /names/ID/name        the name
 *     /names/ID/uid         the uid that made it
 *     /names/ID/ipc         an IPC namespace, bind-mounted
 *     /names/ID/pid         a PID namespace, bind-mounted
 *     /names/ID/user-N      a user namespace, bind-mounted
 *     /names/ID/user-N.maps the payload of the request for it
 *     /names/ID/lease       a FIFO whose writers are the leases
 *
 * The thread that opens the store lives in it from then on: its root is the tmpfs. Nothing but
 * the above is mounted there, so that the store keeps no other file system of the host in use.
 */
import {
  constants,
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  statfsSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import {
  CLONE_FS,
  CLONE_NEWNS,
  changeDirectory,
  createDirectory,
  deviceOf,
  errorText,
  type Fd,
  isErrno,
  MNT_DETACH,
  MS_BIND,
  MS_PRIVATE,
  MS_REC,
  mount,
  openFile,
  openOwnNamespace,
  pivotRoot,
  setns,
  umount,
  unshare,
} from "@cm4all/linux";
import { hasRunShort } from "../errors.ts";
import { Home, openDirectory } from "./home.ts";
import { NameDirectory, type StoredName } from "./name-directory.ts";
import { orExit } from "./or-exit.ts";

const O_CREATE_NEW = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;

const FORMAT = "cm4all-spawn namespaces 1\n";

/**
 * Docker refuses mount(2) with EACCES by its AppArmor profile, and pivot_root(2) with EPERM by its
 * seccomp filter.
 */
const CONTAINER_HINT =
  "a container may refuse the call, as Docker's do without " +
  "--security-opt seccomp=unconfined --security-opt apparmor=unconfined";

/** The type of a tmpfs. @see statfs(2) */
const TMPFS_MAGIC = 0x01021994;

/**
 * The store cannot be made or taken over, for a reason outside the daemon. The message is one line.
 */
export class StoreError extends Error {
  override readonly name = "StoreError";
}

/** Keeps names with their namespaces and leases, in a mount namespace in which the thread lives. */
export class Store {
  /** The mount namespace itself, for the service manager to keep. The store owns the descriptor. */
  readonly fd: Fd;
  readonly #home: Home;
  /** The device number of the tmpfs. */
  readonly #device: number;
  #nextId = 1;

  private constructor(home: Home, fd: Fd, device: number) {
    this.#home = home;
    this.fd = fd;
    this.#device = device;
  }

  /**
   * Makes a new store and moves the calling thread into it.
   * @throws StoreError; the thread may then be anywhere, and nothing on the host was changed
   */
  static create(): Store {
    try {
      unshare(CLONE_FS);
      const home = Home.ofThisThread();
      unshare(CLONE_NEWNS);
      const fd = openOwnNamespace("mnt");
      return new Store(home, fd, buildTree(fd));
    } catch (error) {
      // The daemon has CAP_SYS_ADMIN, so a missing capability is not the reason.
      const hint = isErrno(error, "EPERM", "EACCES") ? `; ${CONTAINER_HINT}` : "";
      const reason = errorText(error);
      throw new StoreError(`cannot make the store of namespaces: ${reason}${hint}`, {
        cause: error,
      });
    }
  }

  /**
   * Moves the calling thread into the store of an earlier run.
   * @param fd the mount namespace; ownership passes to the store, unless this throws
   * @throws Error if it has no store, or the store of another version; the thread is then where it
   *   was before
   */
  static open(fd: Fd): Store {
    unshare(CLONE_FS);
    const home = Home.ofThisThread();
    try {
      setns(fd.number, CLONE_NEWNS);
      return new Store(home, fd, checkTree());
    } catch (error) {
      orExit("mount namespace", () => home.enter());
      home.close();
      throw error;
    }
  }

  /**
   * Runs `work`, which is synchronous, in the mount namespace and at the root that the thread
   * came from.
   */
  outside<T>(work: () => T): T {
    try {
      this.#home.enter();
      return work();
    } finally {
      orExit("mount namespace", () => {
        setns(this.fd.number, CLONE_NEWNS);
        // No other file system can have this device number while the store's file system exists.
        if (deviceOf("/") !== this.#device) throw notTheRoot();
      });
    }
  }

  /**
   * Returns the names that an earlier run has left behind. Removes names that it had not finished
   * making or removing, and leaves alone everything that this version does not understand.
   * @param setAside called for each entry that is not used, with the reason
   * @throws SyscallError, or an error of Node, if resources have run short
   */
  restore(setAside: (path: string, reason: string) => void): StoredName[] {
    return readdirSync("/names").flatMap((id) => {
      const path = `/names/${id}`;
      try {
        if (!/^\d{1,15}$/.test(id)) throw new Error("not a number");
        this.#nextId = Math.max(this.#nextId, Number(id) + 1);
        const directory = new NameDirectory(path);
        const stored = directory.tryRead((file, reason) => setAside(`${path}/${file}`, reason));
        if (stored !== undefined) return stored;
        if (directory.hasSubdirectory())
          throw new Error("it has no name, but there is a directory in it");
        directory.remove();
        return [];
      } catch (error) {
        if (hasRunShort(error)) throw error;
        setAside(path, errorText(error));
        return [];
      }
    });
  }

  /** Returns the inodes of all PID namespaces in the store, also of entries that are not used. */
  pidNamespaces(): Set<number> {
    const mounts = readFileSync("/proc/thread-self/mountinfo", "latin1");
    // The fourth field is what is mounted. @see proc_pid_mountinfo(5)
    const inodes = mounts.matchAll(/^\d+ \d+ \d+:\d+ pid:\[(\d+)\] /gm);
    return new Set([...inodes].map(([, inode]) => Number(inode)));
  }

  /**
   * Makes a directory for a new name.
   * @param uid the uid that asks for it; undefined if it is not known
   */
  createName(name: string, uid: number | undefined): NameDirectory {
    const path = `/names/${this.#nextId++}`;
    createDirectory(path, 0o777);
    try {
      // The file with the name comes last: a directory without it is removed by the next start.
      if (uid !== undefined) createFile(`${path}/uid`, String(uid));
      createFile(`${path}/name`, name);
    } catch (error) {
      // rmSync would look into the directory, which takes a descriptor that may not be available.
      for (const file of ["uid", "name"])
        if (existsSync(`${path}/${file}`)) unlinkSync(`${path}/${file}`);
      rmdirSync(path);
      throw error;
    }
    return new NameDirectory(path);
  }
}

function createFile(path: string, text: string): void {
  using file = openFile(path, O_CREATE_NEW, 0o666);
  writeSync(file.number, text, null, "latin1");
}

/**
 * Makes a tmpfs with the layout that is described above, puts it in place of the root of the
 * calling thread's mount namespace, which has to be new and private to the thread, and moves the
 * thread there.
 *
 * pivot_root(2) replaces the thread's root, which in a chroot is not the root of the mount
 * namespace. So the thread first goes to the root of the mount namespace, to which setns(2) leads.
 * Nothing is known about the files there: until the tmpfs is the root, all paths are relative to a
 * directory that is known.
 * @param fd the mount namespace
 * @returns the device number of the tmpfs
 */
function buildTree(fd: Fd): number {
  using oldRoot = openDirectory("/");
  setns(fd.number, CLONE_NEWNS);
  // A mount below a shared mount would propagate to the host.
  mount({ target: "/", flags: MS_REC | MS_PRIVATE });
  changeDirectory(oldRoot.number);
  // The new root is mounted over a directory that every system has.
  mount({ source: "cm4all-spawn", target: "sys", type: "tmpfs", data: "mode=0700" });
  for (const name of ["proc", "names", "old"]) mkdirSync(`sys/${name}`);
  mount({ source: "proc", target: "sys/proc", flags: MS_BIND });
  using root = openDirectory("sys");
  changeDirectory(root.number);
  pivotRoot(".", "old");
  umount("old", MNT_DETACH);
  // As at every later start, setns(2) makes the root of the mount namespace the thread's "/".
  setns(fd.number, CLONE_NEWNS);
  const { dev } = fstatSync(root.number);
  checkRoot(dev);
  rmdirSync("/old");
  writeFileSync("/format", FORMAT);
  return dev;
}

/**
 * Checks that the thread is in a store.
 * @returns the device number of its tmpfs
 * @throws Error if it is not
 */
function checkTree(): number {
  const { dev } = lstatSync("/");
  checkRoot(dev);
  const names = lstatSync("/names", { throwIfNoEntry: false });
  const format = lstatSync("/format", { throwIfNoEntry: false });
  const isWhole = names?.isDirectory() === true && names.dev === dev && format?.dev === dev;
  // The text of another version may be longer, but not by much.
  const isReadable = isWhole && format.isFile() && format.size < 256;
  const text = isReadable ? readFileSync("/format", "utf8") : "nothing";
  if (text !== FORMAT) throw new Error(`the stored mount namespace holds ${JSON.stringify(text)}`);
  return dev;
}

/** @throws Error unless "/" is a tmpfs with this device number */
function checkRoot(device: number): void {
  if (statfsSync("/").type !== TMPFS_MAGIC || lstatSync("/").dev !== device) throw notTheRoot();
}

function notTheRoot(): Error {
  return new Error("the root of its mount namespace is not the tmpfs of a store");
}
