/** Carries out a plan, all of it or nothing. Knows no kernel. */
import { planUndo } from "./plan.ts";
import type { Step, Undo } from "./step.ts";

/** Does single steps. */
export interface Executor {
  /** A step that fails may leave a part of itself: its undo is called all the same. */
  run(step: Step): void | Promise<void>;
  /** Undoes what this executor made, as far as it is there; touches nothing else. */
  undo(undo: Undo): void;
}

/** A plan failed, and something of it could not be undone. */
export class UndoFailure extends Error {
  override readonly name = "UndoFailure";
  readonly problems: readonly unknown[];

  /** @param cause why the plan failed */
  constructor(problems: readonly unknown[], cause: unknown) {
    super("not everything could be undone", { cause });
    this.problems = problems;
  }
}

/**
 * @param interruption called before each step and after the last; throws to end the plan
 * @throws what the failed step threw, after everything is undone; or UndoFailure
 */
export async function execute(
  steps: readonly Step[],
  executor: Executor,
  interruption: () => void | Promise<void>,
): Promise<void> {
  const begun: Step[] = [];
  try {
    for (const step of steps) {
      await interruption();
      begun.push(step);
      await executor.run(step);
    }
    await interruption();
  } catch (error) {
    const problems = undoAll(planUndo(begun), (undo) => executor.undo(undo));
    throw problems.length === 0 ? error : new UndoFailure(problems, error);
  }
}

/** Goes on after a failure: the rest should not stay as well. Gives what failed. */
export function undoAll(undos: readonly Undo[], undoOne: (undo: Undo) => void): unknown[] {
  const problems: unknown[] = [];
  for (const undo of undos)
    try {
      undoOne(undo);
    } catch (error) {
      problems.push(error);
    }
  return problems;
}
