import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";

export const clientRun: Case = {
  title: "a command in the namespaces sees their init as PID 1; an unprivileged user is refused",
  run() {
    const ps = sh("cm4all-spawn-client run shared --ipc --pid -- ps ax -o pid,args");
    assert.match(ps, /^ *1 init shared/m);
    sh("cm4all-spawn-client run shared --ipc -- ipcmk -Q");
    assert.match(sh("cm4all-spawn-client run shared --ipc -- ipcs -q"), /0x[0-9a-f]{8}/);
    assert.doesNotMatch(sh("ipcs -q"), /0x[0-9a-f]{8}/);
    const maps = "--user --uid-map '0 100000 1' --gid-map '0 100000 1'";
    assert.equal(sh(`cm4all-spawn-client run shared --pid ${maps} -- id -u`), "0");

    const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    const refused = attempt(`${nobody} cm4all-spawn-client request shared --ipc`);
    assert.notEqual(refused.status, 0);
    assert.match(refused.stderr, /not allowed|permission|refused|privilege/i);
    const faked = attempt(`${nobody} unshare -Ur cm4all-spawn-client request shared --ipc`);
    assert.notEqual(faked.status, 0);
    const ambient = "--inh-caps +sys_admin --ambient-caps +sys_admin";
    sh(`${nobody} ${ambient} cm4all-spawn-client request shared --ipc`);
  },
};
