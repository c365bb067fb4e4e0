/** Carries out a plan, completely or not at all. Independent of the kernel. */
import { planUndo } from "./plan.ts";
import type { Step, Undo } from "./step.ts";

/** Executes single steps. */
export interface Executor {
  /**
   * Executes a step. A step that fails may have made some of its changes, so its undo is called
   * all the same.
   */
  run(step: Step): void | Promise<void>;
  /** Undoes a part of what this executor has done, if any of it is left; touches nothing else. */
  undo(undo: Undo): void;
}

/** Thrown if a plan failed, and a part of it could not be undone. */
export class UndoFailure extends Error {
  override readonly name = "UndoFailure";
  readonly problems: readonly unknown[];

  /** @param cause the reason why the plan failed */
  constructor(problems: readonly unknown[], cause: unknown) {
    super("not everything could be undone", { cause });
    this.problems = problems;
  }
}

/**
 * Executes all steps.
 * @param interruption called before each step and after the last; throws to end the plan
 * @throws the error of the failed step, after everything is undone; or UndoFailure
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

/** Carries out all undos, even if one of them fails. Returns the errors. */
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
