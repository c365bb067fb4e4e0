import { type EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import { isSystemError } from "../errors.ts";

/**
 * A slice of the work ends at its first yield after this time, in milliseconds. Clients wait until
 * then.
 */
const SLICE_MS = 1;

/**
 * Does long work bit by bit, so that clients are answered in the meantime.
 * @param work may be interrupted at each yield; not every yield pauses it
 * @param done called with the result, or with undefined if a system call failed
 * @param failed called with the error of the system call, before `done`
 */
export function runInSlices<T>(
  loop: Pick<EventLoop, "after">,
  work: Generator<void, T>,
  done: (result: T | undefined) => void,
  failed: (error: Error) => void,
): void {
  const runSlice = () => {
    const endMs = monotonicMs() + SLICE_MS;
    let step: IteratorResult<void, T>;
    try {
      do step = work.next();
      while (step.done !== true && monotonicMs() < endMs);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      failed(error);
      done(undefined);
      return;
    }
    if (step.done === true) done(step.value);
    else loop.after(0, runSlice);
  };
  runSlice();
}
