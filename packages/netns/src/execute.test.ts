import { describe, expect, it } from "vitest";
import { type Executor, execute, UndoFailure } from "./execute.ts";
import { planUndo, planUp } from "./plan.ts";
import type { Undo } from "./step.ts";

const steps = planUp({
  name: "web",
  hostUp: true,
  uplinks: [],
  script: "/s/web",
  scriptTimeoutMs: 0,
});
const goOn = () => {};

/** Records steps and undos; fails at a given step and at a given undo. */
class Recorder implements Executor {
  readonly done: string[] = [];
  failAt: number | undefined;
  failUndo: Undo["kind"] | undefined;

  run(step: (typeof steps)[number]): void {
    if (this.done.push(step.kind) - 1 === this.failAt) throw new Error(`step ${this.failAt}`);
  }

  undo(undo: Undo): void {
    this.done.push(undo.kind);
    if (undo.kind === this.failUndo) throw new Error(`undo ${undo.kind}`);
  }
}

describe("execute", () => {
  it("executes every step in order and undoes nothing", async () => {
    const recorder = new Recorder();
    await execute(steps, recorder, goOn);
    expect(recorder.done).toEqual(steps.map((step) => step.kind));
  });

  it.each(steps.map((step, i) => [i, step.kind]))("undoes all if step %i fails: %s", async (i) => {
    const recorder = new Recorder();
    recorder.failAt = i;
    await expect(execute(steps, recorder, goOn)).rejects.toThrow(`step ${i}`);
    const begun = steps.slice(0, i + 1);
    expect(recorder.done).toEqual([
      ...begun.map((step) => step.kind),
      ...planUndo(begun).map(({ kind }) => kind),
    ]);
  });

  it("undoes everything after an interruption at any time, even after the last step", async () => {
    for (let at = 0; at <= steps.length; at++) {
      const recorder = new Recorder();
      let asked = 0;
      const interruption = async () => {
        if (asked++ === at) throw new Error("interrupted");
      };
      await expect(execute(steps, recorder, interruption)).rejects.toThrow("interrupted");
      const begun = steps.slice(0, at);
      expect(recorder.done).toEqual([
        ...begun.map((step) => step.kind),
        ...planUndo(begun).map(({ kind }) => kind),
      ]);
    }
  });

  it("goes on undoing after an undo that fails, and reports both failures", async () => {
    const recorder = new Recorder();
    recorder.failAt = steps.length - 1;
    recorder.failUndo = "delete-link";
    const failure = await execute(steps, recorder, goOn).catch((error: unknown) => error);
    if (!(failure instanceof UndoFailure)) throw new Error("no UndoFailure");
    expect(failure.problems.map(String)).toEqual(["Error: undo delete-link"]);
    expect(String(failure.cause)).toBe(`Error: step ${steps.length - 1}`);
    expect(recorder.done.at(-1)).toBe("delete-namespace");
  });
});
