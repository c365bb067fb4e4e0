import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { Scope } from "../tools/scope.ts";
import { putScript, removeScript, untilSaid, untilUnit } from "../tools/script.ts";
import { attempt, sh } from "../tools/shell.ts";
import { journalCursor, SERVICE } from "../tools/systemd.ts";

const DIRECTORY = "/srv/accounting";

const TEXT = `
function cgroup_released(cgroup)
  local file, message = io.open("${DIRECTORY}/seen", "a")
  print("lua", cgroup.path, tostring(message))
  if file then file:write(cgroup.path, "\\n") file:close() end
end
`;

export const scriptWrites: Case = {
  title: "a script can write where a drop-in of its unit lets it, as README says, and nowhere else",
  async run({ slowness }) {
    sh(`install -d -o cm4all-spawn-reaper ${DIRECTORY}`);
    putScript(TEXT, []);
    const scope = await Scope.start(slowness);
    try {
      for (const [name, limits, said] of [
        ["closed", [], /lua\s\S*\/closed\s.*Read-only file system/],
        ["open", [`ReadWritePaths=${DIRECTORY}`], /lua\s\S*\/open\snil/],
      ] as const) {
        removeScript();
        putScript(TEXT, limits);
        const cursor = journalCursor();
        sh(`systemctl restart ${SERVICE}`);
        await untilUnit(slowness);
        scope.run(name, "cat /proc/self/status >/dev/null");
        await untilSaid(slowness, cursor, said);
      }
      assert.match(sh(`cat ${DIRECTORY}/seen`), /^\S*\/open$/);
      assert.equal(sh(`stat -c %U ${DIRECTORY}/seen`), "cm4all-spawn-reaper");
    } finally {
      scope.stop();
      removeScript();
      attempt(`rm -r ${DIRECTORY}`);
    }
  },
};
