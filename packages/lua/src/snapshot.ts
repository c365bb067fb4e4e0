/**
 * What the reaper measured of one cgroup when it ran empty. It crosses a pipe as
 * JSON. Whatever a kernel file or controller did not tell is undefined, never 0.
 */
export interface CgroupSnapshot {
  /**
   * Relative to the cgroup2 root, beginning with `/`. A path is a string of bytes:
   * one character stands for one byte (`Buffer.toString("latin1")`).
   */
  path: string;
  /** The boot id and the directory's 64-bit inode: the same after a restart of the daemon. */
  id: string;
  /** 1 for the first report of this id, 2 for the next, after it was populated again. */
  report: number;
  /** When the figures were read, milliseconds since 1970, with fractions. */
  measuredMs: number;
  /** When the cgroup was created, milliseconds since 1970, with fractions. */
  birthMs?: number | undefined;

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
