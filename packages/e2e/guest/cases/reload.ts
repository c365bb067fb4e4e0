import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import { isActive, journal, journalCursor, mainPid, property, SERVICE } from "../tools/systemd.ts";

const FILE = "/etc/cm4all/spawn/spawn.toml";

export const reload: Case = {
  title: "reload reads the configuration again, and keeps the old one if the new one has a mistake",
  async run({ slowness }) {
    const pid = mainPid();
    const nobody = "setpriv --reuid 65534 --regid 65534 --clear-groups";
    const request = `${nobody} cm4all-spawn-client request reloaded --ipc`;
    sh(`cp ${FILE} /run/spawn.toml`);
    try {
      assert.notEqual(attempt(request).status, 0);
      sh(`printf '[namespaces]\\nallow_uids = [65534]\\n' >${FILE}`);
      sh("cm4all-spawn --check-config");
      sh(`systemctl reload ${SERVICE}`);
      await waitFor(
        "uid 65534 may make requests",
        5000 * slowness,
        () => attempt(request).status === 0,
      );

      const cursor = journalCursor();
      sh(`printf '[namespaces]\\nallow_uid = [1]\\n' >${FILE}`);
      const check = attempt("cm4all-spawn --check-config");
      assert.notEqual(check.status, 0);
      assert.match(check.stderr, /spawn\.toml:2/);
      assert.notEqual(attempt(`systemctl reload ${SERVICE}`).status, 0);
      await waitFor("the journal names the line", 5000 * slowness, () =>
        journal(SERVICE, cursor).includes("spawn.toml:2"),
      );
      assert.ok(isActive(SERVICE));
      assert.equal(attempt(request).status, 0);
    } finally {
      sh(`cp /run/spawn.toml ${FILE}; systemctl reload ${SERVICE}`);
    }
    await waitFor(
      "the service is active",
      5000 * slowness,
      () => property(SERVICE, "ActiveState") === "active",
    );
    assert.equal(mainPid(), pid);
  },
};
