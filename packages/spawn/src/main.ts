/**
 * The one file that becomes the program: the daemon's main thread, and its workers,
 * which start the same bundle again.
 */
import { isMainThread } from "node:worker_threads";
import { workerRole } from "./thread/messages.ts";

if (isMainThread) {
  console.log(`cm4all-spawn ${__VERSION__}`);
} else {
  throw new Error(`unknown worker: ${workerRole()}`);
}
