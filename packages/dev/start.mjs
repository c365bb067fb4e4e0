// @ts-check
/** `npm start`: runs the set-up, then packages/start in this process. */
import { runtimePackages } from "./debian-packages.mjs";
import { fail, installDebianPackages, installDependencies, root, turbo } from "./setup.mjs";

if (process.getuid?.() !== 0)
  fail("npm start needs root: creating namespaces takes CAP_SYS_ADMIN. Try: sudo npm start");
installDebianPackages(runtimePackages);
installDependencies();
turbo(["run", "build", "--filter=@cm4all/start...", "--output-logs=errors-only"]);
await import(`${root}/packages/start/dist/start.js`);
