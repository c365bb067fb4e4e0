/** Descriptors that the service manager passes. @see sd_listen_fds(3) */

/** The first descriptor that is passed. */
const SD_LISTEN_FDS_START = 3;

export interface PassedDescriptor {
  readonly fd: number;
  /**
   * The FDNAME= of a stored descriptor, or the FileDescriptorName= of a socket unit; empty if the
   * descriptor has no name.
   */
  readonly name: string;
}

/** Parses `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`. Pure. */
export function passedDescriptors(env: NodeJS.ProcessEnv, pid: number): PassedDescriptor[] {
  if (Number(env["LISTEN_PID"]) !== pid) return [];
  const count = Number(env["LISTEN_FDS"]);
  if (!Number.isInteger(count) || count < 0) return [];
  const names = env["LISTEN_FDNAMES"]?.split(":") ?? [];
  return Array.from({ length: count }, (_, i) => ({
    fd: SD_LISTEN_FDS_START + i,
    name: names[i] ?? "",
  }));
}
