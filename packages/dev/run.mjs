// @ts-check
/** `npm test`, `npm run build`, ...: the set-up, then the task in every package. */
import { buildPackages, runtimePackages, testPackages } from "./debian-packages.mjs";
import { fail, installDebianPackages, installDependencies, root, run, turbo } from "./setup.mjs";

const [task, ...rest] = process.argv.slice(2);

switch (task) {
  case "test":
    installDebianPackages([...runtimePackages, ...testPackages, ...buildPackages]);
    installDependencies();
    // One package after the other: tests of the kernel share its limits.
    turbo(["run", "test", "--concurrency=1", "--continue", "--output-logs=full", ...rest]);
    break;
  case "bench":
    installDebianPackages([...runtimePackages, ...testPackages]);
    installDependencies();
    // The arguments say what is measured.
    turbo(["run", "bench", "--concurrency=1", "--output-logs=new-only", "--", ...rest]);
    break;
  case "build":
  case "typecheck":
    installDependencies();
    turbo(["run", task, ...rest]);
    break;
  case "lint":
    installDependencies();
    run(`${root}/node_modules/.bin/biome`, ["ci", "--error-on-warnings", ...rest, "."]);
    run(process.execPath, [`${root}/packages/dev/layers.mjs`]);
    break;
  default:
    fail(`usage: run.mjs build|test|typecheck|lint|bench`);
}
