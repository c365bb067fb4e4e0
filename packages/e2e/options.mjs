// @ts-check
/**
 * `npm run e2e [-- --container] [--vm] [--suite NAME] [--keep-packages] [CASE...]`: builds the
 * packages and the images, boots, and runs the cases of guest/cases. `--packages DIR` uses
 * packages that are already built; `--arch arm64` uses a virtual machine of another architecture.
 *
 * `npm run e2e -- --bare trixie|bookworm [--node 20|22|24|26] [--commands LIST] [PLACE...]`: runs
 * the commands of README on bare machines; bare/places.mjs has the places and their commands.
 */
import { parseArgs } from "node:util";

/**
 * Returns the options, and the names of cases or places. Pure.
 * @param {string[]} args
 * @throws TypeError if an option does not exist
 */
export function readOptions(args) {
  return parseArgs({
    args,
    allowPositionals: true,
    options: {
      container: { type: "boolean", default: false },
      vm: { type: "boolean", default: false },
      suite: { type: "string", default: "trixie" },
      "keep-packages": { type: "boolean", default: false },
      arch: { type: "string" },
      packages: { type: "string" },
      bare: { type: "string" },
      node: { type: "string", default: "debian" },
      commands: { type: "string" },
    },
  });
}
