// @ts-check
/** `npm start`: all the set-up, then the daemon in the foreground. */
import { runtimePackages } from "./debian-packages.mjs";
import { fail, installDebianPackages, installDependencies, root, run, turbo } from "./setup.mjs";

if (process.getuid?.() !== 0)
  fail("npm start needs root: creating namespaces takes CAP_SYS_ADMIN. Try: sudo npm start");
installDebianPackages(runtimePackages);
installDependencies();
// The client as well, to try the daemon with.
const builds = ["--filter=@cm4all/spawn...", "--filter=@cm4all/spawn-client"];
turbo(["run", "build", ...builds, "--output-logs=errors-only"]);
run(process.execPath, [`${root}/packages/spawn/dist/cm4all-spawn.js`, ...process.argv.slice(2)]);
