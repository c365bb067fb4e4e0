import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { isActive, journal, SERVICE, SOCKET } from "../tools/systemd.ts";

const DIRECTORY = "/etc/cm4all/spawn";

export const replaceFirst: Case = {
  title:
    "accounting.lua of the original 0.13 stays in use after an upgrade, even beside a reaper.lua",
  async run({ slowness }) {
    sh(`apt-get -q -y purge cm4all-spawn; rm -rf ${DIRECTORY}/*.lua`);
    sh("apt-get -q -y --allow-downgrades install /e2e/in/original/first/*.deb");
    assert.ok(isActive("cm4all-spawn-reaper.service"));
    const changed = "function cgroup_released(cgroup)\\n  print('first', cgroup.path)\\nend\\n";
    sh(
      `printf "${changed}" >${DIRECTORY}/accounting.lua; md5sum ${DIRECTORY}/accounting.lua >/run/script.md5`,
    );
    // The script that a later version of the original package installs, unchanged.
    sh(`printf 'function cgroup_released(cgroup)\\nend\\n' >${DIRECTORY}/reaper.lua`);

    sh("apt-get -q -y install /e2e/in/packages/*.deb");
    sh("md5sum -c /run/script.md5");
    assert.ok(isActive(SOCKET));
    assert.ok(isActive(SERVICE));
    await waitFor("the script is used", 10_000 * slowness, () =>
      journal(SERVICE).includes(`accounting with ${DIRECTORY}/accounting.lua`),
    );
    sh(`rm ${DIRECTORY}/*.lua; systemctl restart ${SERVICE}; apt-get -q check; dpkg --audit`);
  },
};
