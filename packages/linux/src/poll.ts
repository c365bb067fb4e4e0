/** Waits for a descriptor. @see poll(2) */
import { EINTR } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { allocate, beginCall } from "./memory.ts";

const POLLIN = 1;

const libc = { poll: intFunction("poll", 3) };

/** Blocks the thread until `fd` is readable or its other end is closed. @throws SyscallError */
export function waitReadable(fd: number): void {
  for (;;) {
    beginCall();
    const { bytes, address } = allocate(8);
    bytes.writeInt32LE(fd, 0);
    bytes.writeInt16LE(POLLIN, 4);
    const result = libc.poll(address, 1, -1);
    if (result !== -EINTR) {
      check(result, "poll", { fd });
      return;
    }
  }
}
