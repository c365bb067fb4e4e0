import type { LuaState } from "fengari/src/types";

/**
 * The number of instructions that Lua may still run without waiting for something. There is one
 * budget for the process: only one thread of one Lua state runs at a time.
 */
export const budget = {
  left: Number.POSITIVE_INFINITY,
  /** When `left` is less than this, `pause` is called. */
  pauseAt: 0,
  /**
   * Called before an instruction, or by `spend`, whenever `left` has fallen below `pauseAt`; lowers
   * `pauseAt` for the next call. Throws a Lua error if the code must not go on.
   */
  pause(_L: LuaState): void {},
};

/** The number of bytes that can be read or copied at the cost of one instruction. */
const BYTES_PER_INSTRUCTION = 64;
/** The smallest length, in bytes, of a string that the budget is charged for. */
const COUNTED = 1024;

/**
 * Charges the budget for a string that a function has read or copied. Throws nothing, so that it
 * can be called anywhere: if the budget is now used up, the next instruction finds that out.
 */
export function spendBytes(length: number): void {
  if (length >= COUNTED) budget.left -= length / BYTES_PER_INSTRUCTION;
}

/**
 * Charges the budget for a library's work, in instructions of about 50 ns.
 * @throws a Lua error if the budget is used up
 */
export function spend(L: LuaState, instructions: number): void {
  budget.left -= instructions;
  if (budget.left < budget.pauseAt) budget.pause(L);
}
