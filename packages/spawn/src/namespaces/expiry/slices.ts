import { type EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import { isSystemError } from "../errors.ts";

/** How long such work may keep clients waiting. */
const SLICE_MS = 1;

/**
 * Does long work bit by bit, so that clients are answered meanwhile.
 * @param work pauses where it yields, though not every time
 * @param done gets the result, or undefined where a system call failed
 * @param failed is told of such a failure before
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
