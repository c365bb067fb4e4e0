/** Reads and deletes cgroups for the reaper. */
import { type BigIntStats, fstatSync, lstatSync, readFileSync } from "node:fs";
import {
  type CgroupMeasurement,
  CgroupReader,
  parseCgroupEvents,
  parseCpuTotalUsec,
  readCgroupFile,
} from "@cm4all/cgroup";
import {
  type ByteString,
  bufferOf,
  bytesOfLatin1,
  errorText,
  isErrno,
  joinPath,
  nodePathOf,
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
 * What became of a deletion. `populated` and `grown`: it was used since, and stays; `busy`: a
 * child that is not known yet, or a process that has just come; `gone`: somebody else was
 * faster; `failed`: told to the log already.
 */
export type Removal = "removed" | "gone" | "populated" | "grown" | "busy" | "failed";

/** Tells the log. @param key what was told once under this key is not told again */
export type Complain = (key: string, text: string) => void;

const EVENTS_FILE = bytesOfLatin1("cgroup.events");
const CPU_FILE = bytesOfLatin1("cpu.stat");

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

  /** Returns whether a process lives in it or below; undefined if that cannot be read. */
  isPopulated(directory: CgroupDirectory): boolean | undefined {
    const { path } = directory;
    try {
      const text = this.#root.at(joinPath(path, EVENTS_FILE), readCgroupFile);
      const { populated } = parseCgroupEvents(text);
      // Somebody could have put another cgroup in its place, which is not ours to judge.
      return populated === true && !this.#isThere(directory) ? undefined : populated;
    } catch (error) {
      if (!isGone(error)) this.#complain("read cgroup.events", errorText(error));
      return undefined;
    }
  }

  #isThere({ path, inode }: CgroupDirectory): boolean {
    return this.#root.at(path, (name) => inodeOf(name)) === inode;
  }

  /** Returns whether a process has ever lived in it. */
  wasUsed(directory: CgroupDirectory): boolean {
    return this.#read(directory, (fd) => this.#reader.wasUsed(fd)) === true;
  }

  /**
   * @param bornMs when it was seen being created, for kernels that do not tell
   * @param also called with the open directory and its mode, for what else is read of it
   */
  measure(
    directory: CgroupDirectory,
    bornMs: number | undefined,
    also?: (fd: number, mode: number) => void,
  ): CgroupMeasurement | "gone" | "unreadable" {
    return this.#read(directory, (fd, { birthtimeNs, mode }) => {
      const usage = this.#reader.read(fd);
      // Every cgroup has a cpu.stat; it cannot be read when the cgroup was removed just now.
      if (usage.cpuTotalUsec === undefined && !isAlive(fd)) return "gone";
      also?.(fd, Number(mode));
      // A kernel that keeps no birth time of a cgroup says 1970.
      const birthMs = birthtimeNs > 0n ? Number(birthtimeNs) / 1e6 : bornMs;
      return { ...this.identify(directory, birthMs), ...usage };
    });
  }

  /** Returns what can be said of a cgroup without reading it. */
  identify({ path, inode }: CgroupDirectory, birthMs: number | undefined): CgroupMeasurement {
    return { path, id: this.id(inode), measuredMs: Date.now(), birthMs };
  }

  /** Returns the `cgroup.id` of the directory with this inode. */
  id(inode: bigint): string {
    return `${this.#bootId}:${inode}`;
  }

  /**
   * Deletes an empty cgroup, if it is still the one that was measured.
   * @param maxUsec it stays if it has used more CPU time than this
   */
  remove(directory: CgroupDirectory, maxUsec: number | undefined): Removal {
    const { path, inode } = directory;
    const { directory: parent, name } = splitPath(path);
    try {
      return this.#root.withDirectory(parent, (parentFd) => {
        const target = joinPath(bytesOfLatin1(`/proc/self/fd/${parentFd}`), name);
        const wasUsed = lookAgain(target, maxUsec);
        // An inode has one name and comes once: so it was this one that was looked at.
        if (inodeOf(nodePathOf(target)) !== inode) return "gone";
        if (wasUsed !== undefined) return wasUsed;
        // Here somebody could still put another cgroup in its place. The kernel removes
        // that only while it is empty, and a spawner creates it again on ENOENT.
        removeDirectoryAt(parentFd, bufferOf(name));
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

/** Returns how a cgroup was used since it was measured; undefined if it was not. */
function lookAgain(
  target: ByteString,
  maxUsec: number | undefined,
): "populated" | "grown" | undefined {
  const read = (file: ByteString) => readCgroupFile(nodePathOf(joinPath(target, file)));
  if (parseCgroupEvents(read(EVENTS_FILE)).populated === true) return "populated";
  if (maxUsec === undefined) return undefined;
  return (parseCpuTotalUsec(read(CPU_FILE)) ?? 0) > maxUsec ? "grown" : undefined;
}

function inodeOf(path: string | Buffer): bigint | undefined {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false })?.ino;
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
