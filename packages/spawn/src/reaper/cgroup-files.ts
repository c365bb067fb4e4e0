/** Reads and deletes cgroups for the reaper. */
import { fstatSync } from "node:fs";
import {
  type CgroupMeasurement,
  CgroupReader,
  parseCpuTotalUsec,
  parsePopulated,
} from "@cm4all/cgroup";
import {
  type ByteString,
  bytesOfLatin1,
  errorText,
  type FileStatus,
  isErrno,
  joinPath,
  KeptPath,
  readBootId,
  removeDirectoryAt,
  statusOf,
  textOf,
  tryReadTextAt,
  tryStatusAt,
} from "@cm4all/linux";
import type { OpenRoot } from "./open-root.ts";

/** A cgroup's directory: its path, and the inode that identifies it. */
export interface CgroupDirectory {
  /** The path below the cgroup2 root. */
  readonly path: ByteString;
  readonly inode: number;
}

/**
 * The result of a deletion. `populated` and `grown`: the cgroup was used in the meantime, and
 * stays. `busy`: it has a child that is not known yet, or a process that has just entered.
 * `gone`: somebody else removed it first. `failed`: the failure was already logged.
 */
export type Removal = "removed" | "gone" | "populated" | "grown" | "busy" | "failed";

/** Logs a problem. @param key each key is logged only once until `Complaints.clear` */
export type Complain = (key: string, text: string) => void;

const EVENTS_NAME = bytesOfLatin1("cgroup.events");
const EVENTS_PATH = new KeptPath("cgroup.events");
const CPU_NAME = bytesOfLatin1("cpu.stat");

/**
 * Returns whether the error means that the cgroup is gone. ENODEV: the file was already open when
 * its cgroup was removed.
 */
function isGone(error: unknown): boolean {
  return isErrno(error, "ENOENT", "ENODEV");
}

function tellsBirth(fd: number): boolean {
  return fstatSync(fd, { bigint: true }).birthtimeNs > 0n;
}

export class CgroupFiles {
  readonly #root: OpenRoot;
  readonly #complain: Complain;
  readonly #reader: CgroupReader;
  /** True if the kernel keeps the birth times of cgroups; otherwise Node returns 0 for each. */
  readonly tellsBirths: boolean;
  readonly #bootId = readBootId();

  constructor(root: OpenRoot, complain: Complain) {
    this.#root = root;
    this.#complain = complain;
    this.tellsBirths = root.at(bytesOfLatin1(""), tellsBirth);
    this.#reader = new CgroupReader((name, error) =>
      complain(`read ${name}`, `cannot read ${name} of a cgroup: ${errorText(error)}`),
    );
  }

  /**
   * Returns whether a process lives in the cgroup or below it; undefined if that cannot be read.
   */
  isPopulated(directory: CgroupDirectory): boolean | undefined {
    const { path } = directory;
    try {
      const populated = this.#root.at(path, isPopulatedAt);
      // The file may belong to another cgroup, which was put in the place of this one.
      return populated === true && !this.#isThere(directory) ? undefined : populated;
    } catch (error) {
      if (!isGone(error)) this.#complain("read cgroup.events", errorText(error));
      return undefined;
    }
  }

  #isThere({ path, inode }: CgroupDirectory): boolean {
    return this.#root.tryStatus(path)?.inode === inode;
  }

  /** Returns whether a process has ever lived in the cgroup. */
  wasUsed(directory: CgroupDirectory): boolean {
    return this.#read(directory, (fd) => this.#reader.wasUsed(fd)) === true;
  }

  /**
   * Measures a cgroup.
   * @param bornMs the time at which its creation was observed, for kernels that do not report it
   * @param also a callback that reads more from the open directory, whose mode it gets as well
   * @param remains a callback that, if the cgroup was removed while it was measured, gets the
   *   figures that could still be read, before "gone" is returned
   */
  measure(
    directory: CgroupDirectory,
    bornMs: number | undefined,
    also?: (fd: number, mode: number) => void,
    remains?: (figures: CgroupMeasurement) => void,
  ): CgroupMeasurement | "gone" | "unreadable" {
    return this.#read(directory, (fd, { birthMs, mode }) => {
      const usage = this.#reader.read(fd);
      // Every cgroup has a cpu.stat and a cgroup.events: if neither can be read, the cgroup has
      // just been removed.
      if (usage.cpuTotalUsec === undefined && tryReadTextAt(fd, EVENTS_PATH) === undefined)
        return "gone";
      also?.(fd, mode);
      const { path, id, measuredMs } = this.identify(directory, undefined);
      // The result always has the same shape. V8 copies only the first spread of a literal quickly.
      const measured = { ...usage, path, id, measuredMs, birthMs: birthMs ?? bornMs };
      // The files of a removed cgroup are missing, just like those of a disabled controller.
      if (this.#isThere(directory)) return measured;
      remains?.(measured);
      return "gone";
    });
  }

  /** Returns what is known of a cgroup without reading it. */
  identify({ path, inode }: CgroupDirectory, birthMs: number | undefined): CgroupMeasurement {
    return { path, id: this.id(inode), measuredMs: Date.now(), birthMs };
  }

  /** Returns the `cgroup.id` of the directory with this inode. */
  id(inode: number): string {
    return `${this.#bootId}:${inode}`;
  }

  /**
   * Deletes a cgroup if it is empty and its path still leads to it.
   * @param maxUsec the cgroup stays if it has used more CPU time than this
   */
  remove(directory: CgroupDirectory, maxUsec: number | undefined): Removal {
    const { path, inode } = directory;
    try {
      return this.#root.at(path, (fd, name) => {
        // A process that has come and gone has used CPU time; a process that is there makes the
        // deletion fail.
        const isGrown = maxUsec !== undefined && readCpuTotalUsec(fd, name) > maxUsec;
        // An inode has one name and is not reused: if it is still the same, what was read belongs
        // to this cgroup.
        if (tryStatusAt(fd, name)?.inode !== inode) return "gone";
        if (isGrown) return isPopulatedAt(fd, name) === true ? "populated" : "grown";
        // At this point another cgroup could still be put in its place. The kernel removes that
        // other cgroup only while it is empty, and a spawner creates its cgroup again on ENOENT.
        removeDirectoryAt(fd, name);
        return "removed";
      });
    } catch (error) {
      if (isGone(error)) return "gone";
      if (isErrno(error, "EBUSY"))
        return this.isPopulated(directory) === true ? "populated" : "busy";
      const shown = textOf(path);
      this.#complain(`remove ${shown}`, `cannot delete ${shown}: ${errorText(error)}`);
      return "failed";
    }
  }

  /** Opens the directory, if it is still the same, for the duration of `use`. */
  #read<T>(
    { path, inode }: CgroupDirectory,
    use: (fd: number, status: FileStatus) => T,
  ): T | "gone" | "unreadable" {
    try {
      return this.#root.withDirectory(path, (fd) => {
        const status = statusOf(fd);
        return status.inode === inode ? use(fd, status) : "gone";
      });
    } catch (error) {
      if (isGone(error)) return "gone";
      this.#complain("open", `cannot open a cgroup: ${errorText(error)}`);
      return "unreadable";
    }
  }
}

function isPopulatedAt(fd: number, cgroup: ByteString): boolean | undefined {
  const text = tryReadTextAt(fd, joinPath(cgroup, EVENTS_NAME));
  return text === undefined ? undefined : parsePopulated(text);
}

/** Returns the CPU time of a cgroup; 0 if it is gone. */
function readCpuTotalUsec(fd: number, cgroup: ByteString): number {
  const text = tryReadTextAt(fd, joinPath(cgroup, CPU_NAME));
  return text === undefined ? 0 : (parseCpuTotalUsec(text) ?? 0);
}
