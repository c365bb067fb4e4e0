// @ts-check
/** Boots the tree in a container: native speed, but without the cgroup controllers. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { runIsolated } from "./isolated.mjs";

const script = fileURLToPath(new URL("container.sh", import.meta.url));

/**
 * Runs until the container has powered itself off.
 * @param {object} options
 * @param {string} options.tree
 * @param {string} options.input  a directory with `run`
 * @param {string} options.output a directory for `console`, the output of systemd, and `lines`,
 *   the output of `run`
 * @param {AbortSignal} options.signal ends it at once
 */
export async function runContainer({ tree, input, output, signal }) {
  const command = [script, tree, input, output];
  await runIsolated({ command, console: join(output, "console"), signal });
}
