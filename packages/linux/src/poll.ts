/** Looks at what has happened at a descriptor. @see poll(2) */
import { EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { cheapCall, intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";

export const POLLIN = 0x01;
export const POLLHUP = 0x10;

const libc = { poll: intFunction("poll", 3) };

/** The addon makes this call in place of poll(2), which arm64 does not have. */
const cheap = { ppoll: cheapCall("ppoll", 5) };

/** The size of `struct pollfd`: i32 fd, i16 events, i16 revents. */
const POLLFD_BYTES = 8;
/** The size of `struct timespec`. */
const TIMESPEC_BYTES = 16;

let memory: NativeMemory | undefined;

/**
 * Returns what has happened at `fd`, without waiting.
 * @param events what to report, POLLIN or 0; POLLHUP is always reported
 * @throws SyscallError
 */
export function pollNow(fd: number, events: number): number {
  // A pollfd, and a timespec of zero.
  memory ??= allocateNative(POLLFD_BYTES + TIMESPEC_BYTES);
  const { bytes, address } = memory;
  bytes.writeInt32LE(fd, 0);
  bytes.writeInt16LE(events, 4);
  bytes.writeInt16LE(0, 6);
  let result: number;
  // Even a call that does not wait is interrupted by a signal.
  do {
    result =
      cheap.ppoll === undefined
        ? libc.poll(address, 1, 0)
        : cheap.ppoll(address, 1, address + POLLFD_BYTES, 0, 0);
  } while (result === -EINTR);
  check(result, "poll", { fd });
  return bytes.readInt16LE(6);
}
