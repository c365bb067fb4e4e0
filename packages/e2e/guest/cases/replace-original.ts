import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh, waitFor } from "../tools/shell.ts";
import { isActive, journal, property, SERVICE, SOCKET } from "../tools/systemd.ts";

const SCRIPT = "/etc/cm4all/spawn/reaper.lua";

export const replaceOriginal: Case = {
  title: "the packages replace the original's; its changed reaper.lua stays",
  async run({ slowness }) {
    sh("apt-get -q -y --allow-downgrades install /e2e/in/original/*.deb");
    assert.ok(isActive("cm4all-spawn-accessory.socket"));
    assert.ok(isActive("cm4all-spawn-reaper.service"));
    const changed = "function cgroup_released(cgroup)\\n  print('ours', cgroup.path)\\nend\\n";
    sh(`printf "${changed}" >${SCRIPT}; md5sum ${SCRIPT} >/run/script.md5`);

    // As the original has made it, and running.
    sh("systemctl start cm4all-spawn-netns@old.service");

    sh("apt-get -q -y install /e2e/in/packages/*.deb");
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
    assert.equal(property("cm4all-spawn-reaper.service", "Id"), SERVICE);
    assert.equal(property("cm4all-spawn-accessory.socket", "Id"), SOCKET);
    sh("cm4all-spawn-client --timeout 60 request replaced --ipc");
    sh("apt-get -q check; dpkg --audit");
  },
};
