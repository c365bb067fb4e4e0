import assert from "node:assert/strict";
import { chmodSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { Case } from "../case.ts";
import { listRecords } from "../tools/records.ts";
import { Scope } from "../tools/scope.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import {
  journal,
  journalCursor,
  mainPid,
  property,
  SERVICE,
  said,
  scriptUnits,
} from "../tools/systemd.ts";

const SCRIPT = "/etc/cm4all/spawn/accounting.lua";
const CONFIG = "/etc/cm4all/spawn/spawn.toml";
const DROP_INS = "/run/systemd/system/cm4all-spawn-accounting@.service.d";
const DIRECTORY = "/run/host-killed";
const CALM = `${DIRECTORY}/calm`;
const HUNGRY = `${DIRECTORY}/hungry`;

/** A command that kills the script host, for use where cgroup2 cannot limit memory. */
const KILL = "kill -KILL $PPID";

/** A command that waits for the file HUNGRY, and then takes memory until the OOM killer acts. */
const EAT = `until [ -e ${HUNGRY} ]; do sleep 0.1; done; exec tail /dev/zero`;

/**
 * Returns the script. When the script host is killed, the handler for the cgroup `wait` is waiting
 * for a server that never answers, and has had no effect. The handler for the cgroup `eat` has had
 * an effect.
 * @param command the command that the handler for `eat` runs
 */
const text = (command: string) => `
local db = pg:new("host=${DIRECTORY} dbname=x")
function cgroup_released(cgroup)
  local name = cgroup.path:match("[^/]+$")
  local calm = io.open("${CALM}")
  print(calm and "accounted" or "called", name)
  if calm then calm:close() return end
  if name == "wait" then db:execute("SELECT 1") end
  if name == "eat" then os.execute("${command}") end
end
`;

export const hostKilled: Case = {
  title: "if a script's process is killed, no record is lost, and another process takes over",
  async run({ slowness, hasControllers, note }) {
    mkdirSync(DIRECTORY);
    const silent = createServer().listen(`${DIRECTORY}/.s.PGSQL.5432`);
    writeFileSync(SCRIPT, text(hasControllers ? EAT : KILL));
    mkdirSync(DROP_INS, { recursive: true });
    writeFileSync(`${DROP_INS}/limits.conf`, "[Service]\nMemoryMax=400M\n");
    sh(`cp ${CONFIG} /run/spawn.toml.e2e
        sed -i 's/^\\[accounting\\]$/&\\nanswer_seconds = ${10 * slowness}/' ${CONFIG}`);
    let cursor = journalCursor();
    sh(`systemctl daemon-reload; systemctl restart ${SERVICE}`);
    const scope = await Scope.start(slowness);
    const untilSaid = (what: RegExp) =>
      waitFor(`${what}`, 60_000 * slowness, () => what.test(said(cursor)));
    try {
      chmodSync(`${DIRECTORY}/.s.PGSQL.5432`, 0o777);
      await untilSaid(/accounting with \S+ in cm4all-spawn-accounting@/);
      const daemon = mainPid();
      const [unit = ""] = scriptUnits();
      const host = property(unit, "MainPID");
      cursor = journalCursor();
      scope.run("wait", "cat /proc/self/status >/dev/null");
      await untilSaid(/called\swait/);
      scope.run("eat", "cat /proc/self/status >/dev/null");
      await untilSaid(/called\seat/);
      if (hasControllers) {
        const hasChild = () => attempt(`pgrep -P ${host}`).status === 0;
        await waitFor("a child of the script's process", 60_000 * slowness, hasChild);
        // This makes the OOM killer choose the script host; its running child keeps the old value.
        writeFileSync(`/proc/${host}/oom_score_adj`, "1000");
        writeFileSync(HUNGRY, "");
      }
      scope.run("later", "cat /proc/self/status >/dev/null");
      writeFileSync(CALM, "");
      await untilSaid(/the script host ended/);

      if (hasControllers)
        assert.match(
          sh("journalctl -k -b --no-pager"),
          new RegExp(`Memory cgroup out of memory: Killed process ${host} `),
        );
      // The daemon logs one line, which names the unit; systemd logs why the unit has ended.
      const lines = said(cursor)
        .split("\n")
        .filter((line) => line.startsWith("the script host ended, "));
      assert.equal(lines.length, 1);
      assert(lines[0]?.includes(unit), lines[0]);
      note(lines[0] ?? "");
      assert.match(
        journal(unit, cursor),
        hasControllers ? /OOM killer|oom-kill/ : /status=9\/KILL/,
      );

      for (const name of ["wait", "later"]) await untilSaid(new RegExp(`accounted\\s${name}`));
      const [successor = "", ...others] = scriptUnits();
      assert.deepEqual(others, []);
      assert.notEqual(successor, unit);
      await waitFor(
        "the command of the killed script host ends",
        20_000 * slowness,
        () => attempt("pgrep -xf 'tail /dev/zero'").status === 1,
      );
      // The handler for `eat` has had an effect, so an administrator decides about the record.
      const parked = listRecords();
      assert.deepEqual(
        parked.map(({ path, state }) => [path.split("/").at(-1), state]),
        [["eat", "parked"]],
      );
      note(parked[0]?.reason ?? "");
      assert.deepEqual([mainPid(), property(SERVICE, "NRestarts")], [daemon, "0"]);
    } finally {
      scope.stop();
      silent.close();
      rmSync(DIRECTORY, { recursive: true });
      sh(`rm -r ${SCRIPT} ${DROP_INS}; cp /run/spawn.toml.e2e ${CONFIG}
          systemctl daemon-reload; systemctl restart ${SERVICE}`);
      for (const { number } of listRecords()) sh(`cm4all-spawn accounting drop ${number}`);
    }
  },
};
