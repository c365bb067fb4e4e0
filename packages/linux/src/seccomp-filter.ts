/**
 * A filter that refuses system calls, as a program for the kernel's BPF machine. Pure.
 *
 * The program looks at `struct seccomp_data`:
 *
 *      0  u32  number of the call
 *      4  u32  architecture, AUDIT_ARCH_...
 *      8  u64  instruction pointer
 *     16  u64  six arguments
 *
 * @see seccomp(2), linux/filter.h, linux/seccomp.h
 */
import { ENOSYS, EPERM } from "./errno.ts";

export type Architecture = "x64" | "arm64";

/** The numbers of the calls on x86-64 and on arm64; from 424 on, they are the same on both. */
const NUMBERS = {
  acct: [163, 89],
  add_key: [248, 217],
  adjtimex: [159, 171],
  bpf: [321, 280],
  chroot: [161, 51],
  clock_adjtime: [305, 266],
  clock_settime: [227, 112],
  delete_module: [176, 106],
  fanotify_init: [300, 262],
  finit_module: [313, 273],
  fsconfig: [431, 431],
  fsmount: [432, 432],
  fsopen: [430, 430],
  fspick: [433, 433],
  init_module: [175, 105],
  io_uring_setup: [425, 425],
  kcmp: [312, 272],
  kexec_file_load: [320, 294],
  kexec_load: [246, 104],
  keyctl: [250, 219],
  mount: [165, 40],
  mount_setattr: [442, 442],
  move_mount: [429, 429],
  open_by_handle_at: [304, 265],
  open_tree: [428, 428],
  perf_event_open: [298, 241],
  pidfd_getfd: [438, 438],
  pivot_root: [155, 41],
  process_madvise: [440, 440],
  process_vm_readv: [310, 270],
  process_vm_writev: [311, 271],
  ptrace: [101, 117],
  quotactl: [179, 60],
  quotactl_fd: [443, 443],
  reboot: [169, 142],
  request_key: [249, 218],
  setdomainname: [171, 162],
  sethostname: [170, 161],
  setns: [308, 268],
  settimeofday: [164, 170],
  swapoff: [168, 225],
  swapon: [167, 224],
  syslog: [103, 116],
  umount2: [166, 39],
  unshare: [272, 97],
  userfaultfd: [323, 282],
} as const;

const CLONE = { x64: 56, arm64: 220 } as const;
const CLONE3 = 435;

/** A call that a filter can refuse. */
export type RefusedCall = keyof typeof NUMBERS;

/** All calls that a filter can refuse. */
export const REFUSABLE_CALLS = Object.keys(NUMBERS) as readonly RefusedCall[];

const AUDIT_ARCH = { x64: 0xc000003e, arm64: 0xc00000b7 } as const;
/** The bit in the numbers of calls of the x32 ABI, which has the same AUDIT_ARCH as x86-64. */
const X32_SYSCALL_BIT = 0x40000000;

/**
 * The CLONE_NEW... flags of clone(2). CLONE_NEWTIME is not among them: in clone(2) its bit is part
 * of the exit signal, so that only unshare(2) and clone3(2) accept it.
 */
const CLONE_NEW = 0x7e020000;

const BPF_LD_W_ABS = 0x20;
const BPF_JEQ = 0x15;
const BPF_JGE = 0x35;
const BPF_JSET = 0x45;
const BPF_RET = 0x06;
const SECCOMP_RET_ALLOW = 0x7fff0000;
const SECCOMP_RET_ERRNO = 0x00050000;

const DATA_NUMBER = 0;
const DATA_ARCH = 4;
/** The offset of the first argument's lower half; little-endian order puts that half first. */
const DATA_ARGUMENT = 16;

/** The size of `struct sock_filter`: u16 code, u8 jt, u8 jf, u32 k. */
export const INSTRUCTION_BYTES = 8;

/** If a jump has no target for the outcome of its condition, the next instruction is executed. */
interface Instruction {
  readonly code: number;
  readonly value: number;
  readonly jumpIf?: "denied" | "absent" | "clone" | undefined;
  readonly jumpUnless?: "denied" | undefined;
}

/**
 * Returns a program with which these calls, and a clone(2) that would make a namespace, fail with
 * EPERM. clone3(2), whose arguments a filter cannot see, fails with ENOSYS, so that libc uses
 * clone(2). All calls of another architecture's ABI fail with EPERM. All other calls are allowed.
 * @returns an array of `struct sock_filter`
 */
export function encodeRefusal(calls: readonly RefusedCall[], architecture: Architecture): Buffer {
  const column = architecture === "x64" ? 0 : 1;
  const program: Instruction[] = [
    { code: BPF_LD_W_ABS, value: DATA_ARCH },
    { code: BPF_JEQ, value: AUDIT_ARCH[architecture], jumpUnless: "denied" },
    { code: BPF_LD_W_ABS, value: DATA_NUMBER },
    { code: BPF_JGE, value: X32_SYSCALL_BIT, jumpIf: "denied" },
    ...calls.map((name) => ({
      code: BPF_JEQ,
      value: NUMBERS[name][column],
      jumpIf: "denied" as const,
    })),
    { code: BPF_JEQ, value: CLONE3, jumpIf: "absent" },
    { code: BPF_JEQ, value: CLONE[architecture], jumpIf: "clone" },
    { code: BPF_RET, value: SECCOMP_RET_ALLOW },
  ];
  const ends: Instruction[] = [
    { code: BPF_LD_W_ABS, value: DATA_ARGUMENT },
    { code: BPF_JSET, value: CLONE_NEW, jumpIf: "denied" },
    { code: BPF_RET, value: SECCOMP_RET_ALLOW },
    { code: BPF_RET, value: SECCOMP_RET_ERRNO | ENOSYS },
    { code: BPF_RET, value: SECCOMP_RET_ERRNO | EPERM },
  ];
  const labels = {
    clone: program.length,
    absent: program.length + 3,
    denied: program.length + 4,
  };
  const all = [...program, ...ends];
  const bytes = Buffer.alloc(all.length * INSTRUCTION_BYTES);
  for (const [i, { code, value, jumpIf, jumpUnless }] of all.entries()) {
    const at = i * INSTRUCTION_BYTES;
    bytes.writeUInt16LE(code, at);
    // Throws if a jump is longer than 255 instructions.
    bytes.writeUInt8(jumpIf === undefined ? 0 : labels[jumpIf] - i - 1, at + 2);
    bytes.writeUInt8(jumpUnless === undefined ? 0 : labels[jumpUnless] - i - 1, at + 3);
    bytes.writeUInt32LE(value, at + 4);
  }
  return bytes;
}
