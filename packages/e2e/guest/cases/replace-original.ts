import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { isActive, journal, property, SERVICE, SOCKET, scriptUnits } from "../tools/systemd.ts";

const SCRIPT = "/etc/cm4all/spawn/reaper.lua";

export const replaceOriginal: Case = {
  title: "the packages replace the original packages, and a changed reaper.lua is kept",
  async run({ slowness }) {
    sh("apt-get -q -y --allow-downgrades install /e2e/in/original/*.deb");
    assert.ok(isActive("cm4all-spawn-accessory.socket"));
    assert.ok(isActive("cm4all-spawn-reaper.service"));
    const changed = "function cgroup_released(cgroup)\\n  print('ours', cgroup.path)\\nend\\n";
    sh(`printf "${changed}" >${SCRIPT}; md5sum ${SCRIPT} >/run/script.md5`);

    // An administrator's drop-ins, for both services.
    const units = "/etc/systemd/system";
    sh(`mkdir -p ${units}/cm4all-spawn-reaper.service.d ${units}/cm4all-spawn-accessory.service.d
        groupadd --force e2e-accounting
        printf '[Service]\\nSupplementaryGroups=e2e-accounting\\n' \\
          >${units}/cm4all-spawn-reaper.service.d/override.conf
        printf '[Service]\\nNice=1\\n' >${units}/cm4all-spawn-accessory.service.d/nice.conf`);

    // A namespace that the original package's unit has brought up.
    sh("systemctl start cm4all-spawn-netns@old.service");

    const said = sh("apt-get -q -y install /e2e/in/packages/*.deb 2>&1");
    const dropIn = `drop-in for the original daemon: ${units}/cm4all-spawn-`;
    assert.ok(said.includes(`${dropIn}accessory.service.d/nice.conf: it applies to all of`));
    assert.ok(said.includes(`${dropIn}reaper.service.d/override.conf: it applies to the acc`));
    assert.match(sh("! cm4all-spawn-reaper 2>&1"), /is now a part of cm4all-spawn/);
    assert.match(sh("dpkg-query -W -f '${Version}' cm4all-slice"), /^1\./);
    assert.ok(isActive("cm4all-spawn-netns@old.service"));
    sh("systemctl stop cm4all-spawn-netns@old.service; ! test -e /run/netns/old");
    assert.match(sh("dpkg-query -W -f '${db:Status-Abbrev}' cm4all-spawn-reaper"), /^rc/);
    sh("md5sum -c /run/script.md5");
    assert.ok(isActive(SOCKET));
    assert.ok(isActive(SERVICE));
    await waitFor("the script is used", 10_000 * slowness, () =>
      journal(SERVICE).includes(`accounting with ${SCRIPT}`),
    );
    // The reaper's drop-in still serves its purpose: the script runs with the group that it adds.
    const gid = sh("getent group e2e-accounting | cut -d: -f3");
    const [unit = ""] = scriptUnits();
    const host = property(unit, "MainPID");
    assert.equal(property(SERVICE, "SupplementaryGroups"), "");
    assert.ok(sh(`grep ^Groups: /proc/${host}/status`).split(/\s/).includes(gid));
    sh(`rm -r ${units}/cm4all-spawn-reaper.service.d ${units}/cm4all-spawn-accessory.service.d
        systemctl daemon-reload`);
    assert.equal(property("cm4all-spawn-accessory.socket", "Id"), SOCKET);
    sh("cm4all-spawn-client --timeout 60 request replaced --ipc");
    sh("apt-get -q check; dpkg --audit");
  },
};
