/**
 * A child process that shares our memory (CLONE_VM), has a stack of its own and sits in
 * libc's pause(2): it runs no JavaScript, and is there for what the kernel gives a
 * process. @see clone(2)
 */
import { check } from "./errors.ts";
import { functionAddress, intFunction } from "./libc.ts";
import { allocateNative, type NativeMemory } from "./memory.ts";
import { SIGKILL } from "./pidfd.ts";

const CLONE_VM = 0x00000100;
const STACK_BYTES = 64 * 1024;

const libc = { clone: intFunction("clone", 4), kill: intFunction("kill", 2) };

let pauseAddress: number | undefined;

/** Memory for one child at a time; it must live until the child is reaped. */
export class PausedChildStack {
  readonly #memory: NativeMemory = allocateNative(STACK_BYTES);

  /**
   * Starts a child. The caller kills and reaps it (P_PID).
   * @param flags CLONE_NEW... besides CLONE_VM
   * @returns its pid
   * @throws SyscallError of clone
   */
  start(flags: { readonly [name: string]: number } = {}): number {
    pauseAddress ??= functionAddress("pause");
    const names = ["CLONE_VM", ...Object.keys(flags)].join("|");
    const value = Object.values(flags).reduce((all, flag) => all | flag, CLONE_VM);
    // The ABI of x86-64 and arm64 wants the stack's top aligned to 16 bytes; bit
    // operations would cut it to 32 bits.
    const top = this.#memory.address + STACK_BYTES;
    const child = libc.clone(pauseAddress, top - (top % 16), value, 0);
    return check(child, "clone", { flags: names });
  }
}

/** Kills a child that has not been reaped yet. */
export function killChild(pid: number): void {
  libc.kill(pid, SIGKILL);
}
