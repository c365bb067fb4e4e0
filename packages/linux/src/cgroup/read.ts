/** Reads the files of one cgroup. */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { isErrno } from "../errors.ts";
import {
  parseCpuStat,
  parseIoStat,
  parseMemoryEvents,
  parsePidsEventsMax,
  parsePressureSomeUsec,
  parseSingleValue,
} from "./parse.ts";

const O_CLOEXEC = 0o2000000;

/** Enough for `io.stat` on a host with hundreds of disks; the other files are short. */
const buffer = Buffer.alloc(64 * 1024);

/**
 * The text of a file.
 * @param path of any bytes
 * @throws Error of Node's: ENOENT, ENODEV where the cgroup was removed after the file was opened
 */
export function readCgroupFile(path: string | Buffer): string {
  const fd = openSync(path, O_CLOEXEC);
  try {
    // The kernel makes the whole text at the first read.
    return buffer.toString("latin1", 0, readSync(fd, buffer));
  } finally {
    closeSync(fd);
  }
}

/** What is measured of a cgroup. What no file or controller told is undefined, never 0. */
export interface CgroupUsage {
  /** `cpu.stat`, microseconds. */
  cpuTotalUsec?: number | undefined;
  cpuUserUsec?: number | undefined;
  cpuSystemUsec?: number | undefined;
  cpuThrottledUsec?: number | undefined;

  /** `memory.peak` and `memory.swap.peak`, bytes. */
  memoryPeakBytes?: number | undefined;
  memorySwapPeakBytes?: number | undefined;
  /** `memory.events`, counts. */
  memoryEventsHigh?: number | undefined;
  memoryEventsMax?: number | undefined;
  memoryEventsOom?: number | undefined;
  memoryEventsOomKill?: number | undefined;

  /** `pids.peak`, `pids.forks` and `pids.events`, counts. */
  pidsPeak?: number | undefined;
  pidsForks?: number | undefined;
  pidsEventsMax?: number | undefined;

  /** `io.stat`, sums over all devices. */
  ioReadBytes?: number | undefined;
  ioWriteBytes?: number | undefined;
  ioReads?: number | undefined;
  ioWrites?: number | undefined;

  /** `some total=` of the pressure files, microseconds. */
  cpuPressureUsec?: number | undefined;
  memoryPressureUsec?: number | undefined;
  ioPressureUsec?: number | undefined;
}

/**
 * Reads cgroups one after the other, and remembers which files the last one lacked:
 * to look whether a file is there is cheaper than an exception where it is not.
 */
export class CgroupReader {
  readonly #missing = new Set<string>();
  readonly #onUnreadable: (name: string, error: unknown) => void;

  /** @param onUnreadable told of a file that is there and cannot be read (EACCES, EIO) */
  constructor(onUnreadable: (name: string, error: unknown) => void) {
    this.#onUnreadable = onUnreadable;
  }

  /** @param directoryFd an open directory: all figures come from one cgroup */
  read(directoryFd: number): CgroupUsage {
    const directory = `/proc/self/fd/${directoryFd}/`;
    const usage: CgroupUsage = {};
    this.#readCpu(directory, usage);
    this.#readMemory(directory, usage);
    this.#readPids(directory, usage);
    this.#readIo(directory, usage);
    this.#readPressure(directory, usage);
    return usage;
  }

  /** Whether a process has ever lived in it; false also where no file tells. */
  wasUsed(directoryFd: number): boolean {
    const directory = `/proc/self/fd/${directoryFd}/`;
    const cpu = this.#text(directory, "cpu.stat");
    if (cpu !== undefined && (parseCpuStat(cpu).usageUsec ?? 0) > 0) return true;
    return (this.#value(directory, "pids.peak") ?? 0) > 0;
  }

  #readCpu(directory: string, usage: CgroupUsage): void {
    const text = this.#text(directory, "cpu.stat");
    if (text === undefined) return;
    const cpu = parseCpuStat(text);
    usage.cpuTotalUsec = cpu.usageUsec;
    usage.cpuUserUsec = cpu.userUsec;
    usage.cpuSystemUsec = cpu.systemUsec;
    usage.cpuThrottledUsec = cpu.throttledUsec;
  }

  #readMemory(directory: string, usage: CgroupUsage): void {
    usage.memoryPeakBytes = this.#value(directory, "memory.peak");
    usage.memorySwapPeakBytes = this.#value(directory, "memory.swap.peak");
    const text = this.#text(directory, "memory.events");
    if (text === undefined) return;
    const events = parseMemoryEvents(text);
    usage.memoryEventsHigh = events.high;
    usage.memoryEventsMax = events.max;
    usage.memoryEventsOom = events.oom;
    usage.memoryEventsOomKill = events.oomKill;
  }

  #readPids(directory: string, usage: CgroupUsage): void {
    usage.pidsPeak = this.#value(directory, "pids.peak");
    usage.pidsForks = this.#value(directory, "pids.forks");
    const text = this.#text(directory, "pids.events");
    if (text !== undefined) usage.pidsEventsMax = parsePidsEventsMax(text);
  }

  #readIo(directory: string, usage: CgroupUsage): void {
    const text = this.#text(directory, "io.stat");
    if (text === undefined) return;
    const io = parseIoStat(text);
    usage.ioReadBytes = io.readBytes;
    usage.ioWriteBytes = io.writeBytes;
    usage.ioReads = io.reads;
    usage.ioWrites = io.writes;
  }

  #readPressure(directory: string, usage: CgroupUsage): void {
    const some = (name: string) => {
      const text = this.#text(directory, name);
      return text === undefined ? undefined : parsePressureSomeUsec(text);
    };
    usage.cpuPressureUsec = some("cpu.pressure");
    usage.memoryPressureUsec = some("memory.pressure");
    usage.ioPressureUsec = some("io.pressure");
  }

  #value(directory: string, name: string): number | undefined {
    const text = this.#text(directory, name);
    return text === undefined ? undefined : parseSingleValue(text);
  }

  #text(directory: string, name: string): string | undefined {
    const path = directory + name;
    if (this.#missing.has(name) && !existsSync(path)) return undefined;
    try {
      const text = readCgroupFile(path);
      this.#missing.delete(name);
      return text;
    } catch (error) {
      if (isErrno(error, "ENOENT")) this.#missing.add(name);
      // ENODEV: the cgroup was removed meanwhile. EOPNOTSUPP: the host runs without PSI.
      else if (!isErrno(error, "ENODEV", "EOPNOTSUPP", "ENOTSUP")) this.#onUnreadable(name, error);
      return undefined;
    }
  }
}
