// @ts-check
/** Boots a root tree in a container, which has native speed, but no cgroup controllers. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runIsolated } from "./isolated.mjs";

const script = fileURLToPath(new URL("container.sh", import.meta.url));

/**
 * Runs until the container has powered itself off.
 * @param {object} options
 * @param {string} options.tree   made by rootTree in image.mjs
 * @param {string} options.input  a directory with the script `run`
 * @param {string} options.output a directory for `console`, the output of systemd, and `lines`,
 *   the output of `run`
 * @param {AbortSignal} options.signal ends the container immediately
 */
export async function runContainer({ tree, input, output, signal }) {
  const command = [script, tree, input, output];
  await runIsolated({ command, console: join(output, "console"), signal });
}
