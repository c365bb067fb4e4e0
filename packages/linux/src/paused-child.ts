/**
 * A child process that shares our memory (CLONE_VM), has a stack of its own and waits in libc's
 * sleep(3). It runs no JavaScript; it exists only for what the kernel gives each process, such as
 * a user namespace or a table of descriptors. Its parent kills it. The sleep is limited, because a
 * parent that is killed leaves the child behind, and the child keeps the parent's descriptors open.
 * @see clone(2)
 */
import { check } from "./errors.ts";
import { functionAddress, intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";
import { SIGKILL } from "./pidfd.ts";

const CLONE_VM = 0x00000100;
const STACK_BYTES = 64 * 1024;

/** The limit of the sleep: far more than the parent needs, even on an overloaded machine. */
const SLEEP_SECONDS = 20;

const libc = { clone: intFunction("clone", 4), kill: intFunction("kill", 2) };

let sleepAddress: number | undefined;

/** The stack for one child at a time; it must live until the child has been reaped. */
export class PausedChildStack {
  readonly #memory: NativeMemory = allocateNative(STACK_BYTES);

  /**
   * Starts a child. The caller kills and reaps it (P_PID).
   * @param flags further CLONE_... flags by name, in addition to CLONE_VM
   * @param seconds the time after which it ends by itself
   * @returns its pid
   * @throws SyscallError of clone
   */
  start(flags: { readonly [name: string]: number } = {}, seconds = SLEEP_SECONDS): number {
    sleepAddress ??= functionAddress("sleep");
    const names = ["CLONE_VM", ...Object.keys(flags)].join("|");
    const value = Object.values(flags).reduce((all, flag) => all | flag, CLONE_VM);
    // The ABI of x86-64 and arm64 requires the stack's top to be aligned to 16 bytes. Bit
    // operations would cut the address to 32 bits.
    const top = this.#memory.address + STACK_BYTES;
    const child = libc.clone(sleepAddress, top - (top % 16), value, seconds);
    return check(child, "clone", { flags: names });
  }
}

/** Kills a child that has not been reaped yet. */
export function killChild(pid: number): void {
  libc.kill(pid, SIGKILL);
}
