// @ts-check
/**
 * `npm test`, `npm run build` and so on: installs what the task needs, and then runs the task.
 * `npm test -- lua netns` runs only the tests of these packages, and installs only what these tests
 * need.
 */
import { benchPackages, testPackages } from "./debian-packages.mjs";
import {
  EX_USAGE,
  fail,
  installDebianPackages,
  installDependencies,
  root,
  run,
  turbo,
} from "./setup.mjs";

const [task, ...rest] = process.argv.slice(2);

switch (task) {
  case "test":
    test(rest);
    break;
  case "coverage":
    test(rest, ["--coverage"]);
    break;
  case "bench":
    if (!rest.includes("--help")) installDebianPackages(benchPackages);
    installDependencies();
    // The arguments name the subjects to measure.
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
    for (const check of ["layers", "pure-files", "docstrings"])
      run(process.execPath, [`${root}/packages/dev/${check}.mjs`]);
    break;
  case "mutate":
    installDependencies();
    run(process.execPath, [`${root}/packages/dev/mutation/mutate.mjs`, ...rest]);
    break;
  default:
    fail("usage: run.mjs build|test|typecheck|lint|bench|mutate|coverage", EX_USAGE);
}

/**
 * @param {string[]} args names of packages, and turbo's options
 * @param {string[]} testOptions options of Vitest
 */
function test(args, testOptions = []) {
  if (args.includes("--help")) {
    const known = Object.keys(testPackages).join(", ");
    console.log(`arguments: [PACKAGE...] [options of turbo]\npackages: ${known}`);
    return;
  }
  const names = args.filter((arg) => !arg.startsWith("-"));
  for (const name of names)
    if (testPackages[name] === undefined) {
      const known = Object.keys(testPackages).join(", ");
      fail(`there is no package ${name} with tests; packages with tests: ${known}`, EX_USAGE);
    }
  const wanted = names.length > 0 ? names : Object.keys(testPackages);
  installDebianPackages([...new Set(wanted.flatMap((name) => testPackages[name] ?? []))]);
  installDependencies();
  const options = args.filter((arg) => arg.startsWith("-"));
  const filters = names.map((name) => `--filter=./packages/${name}`);
  // One package after the other, because tests that use the kernel share its limits.
  turbo([
    "run",
    "test",
    "--concurrency=1",
    "--continue",
    "--output-logs=full",
    ...filters,
    ...options,
    ...(testOptions.length > 0 ? ["--", ...testOptions] : []),
  ]);
}
