/** Refuses system calls to this process and all that it starts. @see seccomp(2) */
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
/** For all threads of the process, not for the calling one alone. */
const SECCOMP_FILTER_FLAG_TSYNC = 1;

/** `struct sock_fprog`: u16 length in instructions, a pointer at 8. */
const PROGRAM_BYTES = 16;

const architecture: Architecture = process.arch === "arm64" ? "arm64" : "x64";
const SYS_seccomp = { x64: 317, arm64: 277 }[architecture];

const libc = { seccomp: systemCall("seccomp", SYS_seccomp, 3) };

/**
 * Has the kernel refuse these calls, making namespaces and foreign ABIs from now on: to all
 * threads, to children, and to what they execute, which gains no privileges any more
 * (no_new_privs). Cannot be undone.
 * @returns whether the kernel does so: some are built without seccomp
 * @throws SyscallError
 */
export function tryRefuseCalls(calls: readonly RefusedCall[]): boolean {
  // Without CAP_SYS_ADMIN it is a condition of the other.
  setNoNewPrivileges();
  const filter = encodeRefusal(calls, architecture);
  beginCall();
  const { bytes, address } = allocate(PROGRAM_BYTES);
  const instructions = copyIn(filter);
  bytes.writeUInt16LE(filter.length / INSTRUCTION_BYTES, 0);
  bytes.writeBigUInt64LE(BigInt(instructions), 8);
  const result = libc.seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, address);
  if (result === -ENOSYS || result === -EINVAL) return false;
  // A positive result is a thread that has a filter of its own.
  check(result > 0 ? -EINVAL : result, "seccomp(SECCOMP_SET_MODE_FILTER)");
  return true;
}
