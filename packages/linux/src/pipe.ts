/** Makes pipes and FIFOs. @see pipe(2), fifo(7) */
import { ByteReader } from "./bytes.ts";
import { check } from "./errors.ts";
import { Fd } from "./fd.ts";
import { intFunction } from "./libc.ts";
import { allocate, beginCall, cString } from "./memory.ts";

const O_CLOEXEC = 0o2000000;
export const O_NONBLOCK = 0o4000;

const libc = { pipe2: intFunction("pipe2", 2), mkfifo: intFunction("mkfifo", 2) };

/**
 * Makes a pipe and returns its read end and its write end, close-on-exec.
 * @param flags O_NONBLOCK or 0
 */
export function pipe(flags = 0): [Fd, Fd] {
  beginCall();
  const pair = allocate(8);
  check(libc.pipe2(pair.address, O_CLOEXEC | flags), "pipe2");
  const reader = new ByteReader(pair.bytes);
  return [new Fd(reader.i32()), new Fd(reader.i32())];
}

/** Makes a FIFO. @throws SyscallError @see mkfifo(3) */
export function mkfifo(path: string, mode: number): void {
  beginCall();
  check(libc.mkfifo(cString(path), mode), "mkfifo", { path });
}
