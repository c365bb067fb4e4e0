/** Reads and changes the capabilities of threads. @see capget(2), capabilities(7) */
import { ESRCH } from "./errno.ts";
import { check } from "./errors.ts";
import { intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";

export const CAP_SYS_PTRACE = 19;
export const CAP_SYS_ADMIN = 21;

const _LINUX_CAPABILITY_VERSION_3 = 0x20080522;

/** The size of `struct __user_cap_header_struct`: u32 version, i32 pid. */
const HEADER_BYTES = 8;
/** The size of two `struct __user_cap_data_struct`: u32 effective, permitted, inheritable. */
const DATA_BYTES = 24;
const INHERITABLE_OFFSETS = [8, 20];

const libc = { capget: intFunction("capget", 2), capset: intFunction("capset", 2) };

let memory: NativeMemory | undefined;

/**
 * Returns whether a process has a capability in its effective set, whatever its user namespace
 * and its uids are; false if the process is gone.
 * @param capability CAP_..., below 32
 */
export function hasEffectiveCapability(pid: number, capability: number): boolean {
  const { bytes, address } = memoryFor(pid);
  const result = libc.capget(address, address + HEADER_BYTES);
  if (result === -ESRCH) return false;
  check(result, "capget", { pid });
  return (bytes.readUInt32LE(HEADER_BYTES) & (1 << capability)) !== 0;
}

/**
 * Empties the inheritable set of the calling thread, and with it the ambient set, so that programs
 * that the thread executes get no capabilities from them. The thread keeps its own capabilities.
 */
export function dropInheritableCapabilities(): void {
  const { bytes, address } = memoryFor(0);
  check(libc.capget(address, address + HEADER_BYTES), "capget", { pid: 0 });
  for (const offset of INHERITABLE_OFFSETS) bytes.writeUInt32LE(0, HEADER_BYTES + offset);
  check(libc.capset(address, address + HEADER_BYTES), "capset", { pid: 0 });
}

/** Returns memory for the header and the data of a call. @param pid 0 is the calling thread */
function memoryFor(pid: number): NativeMemory {
  memory ??= allocateNative(HEADER_BYTES + DATA_BYTES);
  memory.bytes.writeUInt32LE(_LINUX_CAPABILITY_VERSION_3, 0);
  memory.bytes.writeInt32LE(pid, 4);
  return memory;
}
