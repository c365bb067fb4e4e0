import { setTimeout as delay } from "node:timers/promises";

/** Returns whether all garbage was collected while `work` ran. */
export async function collectsGarbage(work: () => void): Promise<boolean> {
  const object = (() => new WeakRef({}))();
  // An object lives until the end of the job in which its WeakRef was made or read.
  await delay(0);
  work();
  await delay(0);
  return object.deref() === undefined;
}
