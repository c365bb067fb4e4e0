/** Reaps children. @see waitid(2), wait4(2) */
import { ECHILD, EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { allocate, beginCall } from "./memory.ts";

export const P_PID = 1;
export const P_PIDFD = 3;
export const WNOHANG = 1;
export const WEXITED = 4;
/** Includes children whose exit signal is not SIGCHLD. */
const __WALL = 0x40000000;

const CLD_EXITED = 1;

const libc = { waitid: intFunction("waitid", 5) };

/** The way in which a child ended. */
export type ExitReason =
  | { readonly kind: "exited"; readonly status: number }
  | { readonly kind: "killed"; readonly signal: number };

/**
 * Reaps a child, and waits for its end unless WNOHANG is given.
 * @param flags WNOHANG or 0
 * @returns undefined if it is still running (WNOHANG), or if it is not our child (ECHILD)
 * @throws SyscallError
 */
export function reap(
  idType: typeof P_PID | typeof P_PIDFD,
  id: number,
  flags = 0,
): ExitReason | undefined {
  beginCall();
  // siginfo_t: i32 si_signo, si_errno, si_code, padding, si_pid, si_uid, si_status
  const info = allocate(128);
  let result: number;
  do result = libc.waitid(idType, id, info.address, WEXITED | __WALL | flags, 0);
  while (result === -EINTR);
  if (result === -ECHILD) return undefined;
  check(result, "waitid", { idType, id });
  if (info.bytes.readInt32LE(16) === 0) return undefined;
  const status = info.bytes.readInt32LE(24);
  return info.bytes.readInt32LE(8) === CLD_EXITED
    ? { kind: "exited", status }
    : { kind: "killed", signal: status };
}
