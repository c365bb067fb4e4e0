import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { listRecords } from "../tools/records.ts";
import { Scope } from "../tools/scope.ts";
import { configure, putScript, removeScript, untilSaid, untilUnit } from "../tools/script.ts";
import { sh } from "../tools/shell.ts";
import { journalCursor, mainPid, pidsOf, property, SERVICE } from "../tools/systemd.ts";

/** A script that runs a command that depends on the name of the cgroup. */
const TEXT = `
local commands = {
  memory = "tail /dev/zero",
  tasks = "for i in $(seq 200); do sleep 987654 & done",
}
function cgroup_released(cgroup)
  local name = cgroup.path:match("[^/]+$")
  local command = commands[name]
  if command then
    print("has run", name, tostring(os.execute(command)))
    error("no " .. name .. " left")
  end
  print("accounted", name)
end
`;

/** Returns a counter in a file such as `memory.events` of the unit's cgroup. */
function eventCount(unit: string, file: string, name: string): number {
  return Number(
    sh(`sed -n 's/^${name} //p' /sys/fs/cgroup${property(unit, "ControlGroup")}/${file}`),
  );
}

export const scriptLimits: Case = {
  title: "a script that eats memory and forks without end harms its own unit, and nothing else",
  needsControllers: true,
  async run({ slowness, note }) {
    putScript(TEXT, ["MemoryMax=400M", "TasksMax=40"]);
    configure(`answer_seconds = ${5 * slowness}`);
    sh(`systemctl restart ${SERVICE}`);
    const scope = await Scope.start(slowness);
    try {
      const daemon = mainPid();
      const unit = await untilUnit(slowness);
      const host = property(unit, "MainPID");
      for (const name of ["memory", "tasks"]) {
        const cursor = journalCursor();
        scope.run(name, "cat /proc/self/status >/dev/null");
        await untilSaid(slowness, cursor, new RegExp(`has run\\s${name}\\s`));
        // The script host has survived, and calls the next handler.
        scope.run(`after-${name}`, "cat /proc/self/status >/dev/null");
        await untilSaid(slowness, cursor, new RegExp(`accounted\\safter-${name}`));
        assert.equal(mainPid(), daemon);
      }
      assert.equal(property(unit, "MainPID"), host);
      const kills = eventCount(unit, "memory.events", "oom_kill");
      const refusals = eventCount(unit, "pids.events", "max");
      assert.notEqual(kills, 0);
      assert.notEqual(refusals, 0);
      assert(pidsOf(unit).length <= 40);
      note(`${kills} OOM kills, ${refusals} refused forks`);

      // The handlers had effects before they failed, so an administrator decides about the records.
      const parked = listRecords();
      assert.deepEqual(
        parked.map(({ path, state }) => [path.split("/").at(-1), state]),
        [
          ["memory", "parked"],
          ["tasks", "parked"],
        ],
      );
      for (const { reason = "" } of parked) assert.match(reason, /no (memory|tasks) left/);
      assert.equal(property(SERVICE, "NRestarts"), "0");
    } finally {
      scope.stop();
      removeScript();
    }
  },
};
