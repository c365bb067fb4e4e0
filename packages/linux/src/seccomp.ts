/**
 * Makes the kernel refuse certain system calls of this process and of all its future children.
 * @see seccomp(2)
 */
import { EINVAL, ENOSYS } from "./errno.ts";
import { check } from "./errors.ts";
import { systemCall } from "./libc.ts";
import { allocate, beginCall, copyIn } from "./memory.ts";
import { setNoNewPrivileges } from "./prctl.ts";
import {
  type Architecture,
  encodeRefusal,
  INSTRUCTION_BYTES,
  type RefusedCall,
} from "./seccomp-filter.ts";

const SECCOMP_SET_MODE_FILTER = 1;
/** Applies the filter to all threads of the process. */
const SECCOMP_FILTER_FLAG_TSYNC = 1;

/** The size of `struct sock_fprog`: u16 length in instructions, a pointer at 8. */
const PROGRAM_BYTES = 16;

const architecture: Architecture = process.arch === "arm64" ? "arm64" : "x64";
const SYS_seccomp = { x64: 317, arm64: 277 }[architecture];

const libc = { seccomp: systemCall("seccomp", SYS_seccomp, 3) };

/**
 * Makes the kernel refuse these calls, clone(2) if it would make a namespace, clone3(2), and all
 * calls of other ABIs. This applies from now on to all threads, to future children, and to the
 * programs that they execute, which can no longer gain privileges (no_new_privs). Cannot be undone.
 * @returns false if the kernel was built without seccomp
 * @throws SyscallError
 */
export function tryRefuseCalls(calls: readonly RefusedCall[]): boolean {
  // Without CAP_SYS_ADMIN, the kernel accepts a filter only after this.
  setNoNewPrivileges();
  const filter = encodeRefusal(calls, architecture);
  beginCall();
  const { bytes, address } = allocate(PROGRAM_BYTES);
  const instructions = copyIn(filter);
  bytes.writeUInt16LE(filter.length / INSTRUCTION_BYTES, 0);
  bytes.writeBigUInt64LE(BigInt(instructions), 8);
  const result = libc.seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, address);
  if (result === -ENOSYS || result === -EINVAL) return false;
  // A positive result is the id of a thread that has a filter of its own.
  check(result > 0 ? -EINVAL : result, "seccomp(SECCOMP_SET_MODE_FILTER)");
  return true;
}
