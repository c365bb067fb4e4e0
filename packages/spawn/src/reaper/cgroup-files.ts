/** Reads and deletes cgroups for the reaper. */
import { type BigIntStats, fstatSync, lstatSync, readFileSync } from "node:fs";
import {
  type CgroupEvents,
  type CgroupMeasurement,
  CgroupReader,
  parseCgroupEvents,
  readCgroupFile,
} from "@cm4all/cgroup";
import {
  type ByteString,
  bufferOf,
  bytesOfLatin1,
  errorText,
  isErrno,
  joinPath,
  removeDirectoryAt,
  splitPath,
  textOf,
} from "@cm4all/linux";
import type { OpenRoot } from "./open-root.ts";

/** A cgroup's directory: where it is, and which one it is. */
export interface CgroupDirectory {
  /** Below the cgroup2 root. */
  readonly path: ByteString;
  readonly inode: bigint;
}

/**
 * What became of a deletion. `busy`: populated again, or a child that is not known yet;
 * `gone`: somebody else was faster; `failed`: told to the log already.
 */
export type Removal = "removed" | "gone" | "busy" | "failed";

/** Tells the log. @param key what was told once under this key is not told again */
export type Complain = (key: string, text: string) => void;

const EVENTS_FILE = bytesOfLatin1("cgroup.events");

/** ENODEV: the file was open already when its cgroup was removed. */
function isGone(error: unknown): boolean {
  return isErrno(error, "ENOENT", "ENODEV");
}

export class CgroupFiles {
  readonly #root: OpenRoot;
  readonly #complain: Complain;
  readonly #reader: CgroupReader;
  readonly #bootId = readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim();

  constructor(root: OpenRoot, complain: Complain) {
    this.#root = root;
    this.#complain = complain;
    this.#reader = new CgroupReader((name, error) =>
      complain(`read ${name}`, `cannot read ${name} of a cgroup: ${errorText(error)}`),
    );
  }

  /** Returns the `cgroup.events`; undefined if they cannot be read. */
  tryReadEvents({ path }: CgroupDirectory): CgroupEvents | undefined {
    try {
      return parseCgroupEvents(this.#root.at(joinPath(path, EVENTS_FILE), readCgroupFile));
    } catch (error) {
      if (!isGone(error)) this.#complain("read cgroup.events", errorText(error));
      return undefined;
    }
  }

  /** Returns whether a process has ever lived in it. */
  wasUsed(directory: CgroupDirectory): boolean {
    return this.#read(directory, (fd) => this.#reader.wasUsed(fd)) === true;
  }

  /** @param bornMs when it was seen being created, for kernels that do not tell */
  measure(
    directory: CgroupDirectory,
    bornMs: number | undefined,
  ): CgroupMeasurement | "gone" | "unreadable" {
    return this.#read(directory, (fd, { birthtimeNs }) => {
      const usage = this.#reader.read(fd);
      // Every cgroup has a cpu.stat; it cannot be read when the cgroup was removed just now.
      if (usage.cpuTotalUsec === undefined && !isAlive(fd)) return "gone";
      // A kernel that keeps no birth time of a cgroup says 1970.
      const birthMs = birthtimeNs > 0n ? Number(birthtimeNs) / 1e6 : bornMs;
      return { ...this.identify(directory, birthMs), ...usage };
    });
  }

  /** Returns what can be said of a cgroup without reading it. */
  identify({ path, inode }: CgroupDirectory, birthMs: number | undefined): CgroupMeasurement {
    return { path, id: `${this.#bootId}:${inode}`, measuredMs: Date.now(), birthMs };
  }

  /** Deletes an empty cgroup, if it is still the one that was measured. */
  remove(directory: CgroupDirectory): Removal {
    const { path, inode } = directory;
    const { directory: parent, name: child } = splitPath(path);
    const name = bufferOf(child);
    try {
      return this.#root.withDirectory(parent, (parentFd) => {
        const target = Buffer.concat([Buffer.from(`/proc/self/fd/${parentFd}/`), name]);
        const found = lstatSync(target, { bigint: true, throwIfNoEntry: false });
        if (found?.ino !== inode) return "gone";
        // Here somebody could still put another cgroup in its place. The kernel removes
        // that only while it is empty, and a spawner creates it again on ENOENT.
        removeDirectoryAt(parentFd, name);
        return "removed";
      });
    } catch (error) {
      if (isGone(error)) return "gone";
      if (isErrno(error, "EBUSY")) return "busy";
      const shown = textOf(path);
      this.#complain(`remove ${shown}`, `cannot delete ${shown}: ${errorText(error)}`);
      return "failed";
    }
  }

  /** Opens the directory, if it is still the same one. */
  #read<T>(
    { path, inode }: CgroupDirectory,
    use: (fd: number, stat: BigIntStats) => T,
  ): T | "gone" | "unreadable" {
    try {
      return this.#root.withDirectory(path, (fd) => {
        const stat = fstatSync(fd, { bigint: true });
        return stat.ino === inode ? use(fd, stat) : "gone";
      });
    } catch (error) {
      if (isGone(error)) return "gone";
      this.#complain("open", `cannot open a cgroup: ${errorText(error)}`);
      return "unreadable";
    }
  }
}

/** Returns whether the cgroup of an open directory still exists. */
function isAlive(fd: number): boolean {
  try {
    readCgroupFile(`/proc/self/fd/${fd}/cgroup.events`);
    return true;
  } catch (error) {
    return !isGone(error);
  }
}
