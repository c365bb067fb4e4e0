import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { inodesOf } from "../tools/names.ts";
import { attempt, sh } from "../tools/shell.ts";
import { initPids } from "../tools/systemd.ts";

const PACKAGES =
  "cm4all-spawn cm4all-spawn-doc cm4all-spawn-netns cm4all-slice cm4all-logname libnss-cm4all-logname";

export const purge: Case = {
  title: "purging leaves no file, unit, process or namespace",
  run() {
    inodesOf("idle");
    const inits = initPids();
    sh(`apt-get -q -y purge ${PACKAGES}`);
    for (const pid of inits) assert.equal(attempt(`kill -0 ${pid}`).status, 1);
    const found =
      "find / -xdev -path /proc -prune -o -path /e2e -prune -o -path /var/log -prune -o";
    assert.equal(sh(`${found} -name '*cm4all*' -print`), "");
    assert.equal(sh("find /run -name '*cm4all*' -print"), "");
    assert.doesNotMatch(sh("cat /etc/nsswitch.conf"), /cm4all/);
    // The packages do not stop the slice, because other units may be in it.
    const units = sh("systemctl list-units --all --no-legend --plain '*cm4all*'").split("\n");
    assert.deepEqual(
      units.filter((line) => !line.startsWith("system-cm4all.slice ")),
      [],
    );
    assert.doesNotMatch(sh("ps -eo args"), /^(init |cm4all-|\/usr\/bin\/node .*cm4all)/m);
  },
};
