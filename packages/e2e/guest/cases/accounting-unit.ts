import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { Scope } from "../tools/scope.ts";
import {
  configure,
  putScript,
  removeScript,
  SCRIPT,
  untilSaid,
  untilUnit,
} from "../tools/script.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import {
  journalCursor,
  mainPid,
  pidsOf,
  property,
  SCRIPT_SOCKET,
  SERVICE,
  scriptUnits,
} from "../tools/systemd.ts";

/**
 * A script that prints what it can access. For some cgroups it then hangs: it waits for a command
 * that does not end and that has started another process.
 */
const TEXT = `
local function can(path) local f = io.open(path) if f then f:close() end return tostring(f ~= nil) end
function cgroup_released(cgroup)
  print("lua", cgroup.path, can("/run/cm4all-spawn/control.sock"), can("/var/lib/cm4all-spawn"),
    can("/run/cm4all-spawn-accounting.sock"), tostring(os.getenv("LISTEN_FDS")))
  if cgroup.path:match("hang") then
    os.execute("sleep 987654 & sleep 987654")
  end
end
`;

/**
 * Checks that the script does not run as root: journald stores the uid with each line, and no line
 * that the script has printed has uid 0.
 */
function assertNotRoot(cursor: string): void {
  const lines = sh(
    `journalctl -t cm4all-spawn _UID=0 -o cat --no-pager --after-cursor='${cursor}'`,
  );
  assert.doesNotMatch(lines, /^lua\s/m);
}

/** The time for which a hanging script host may outlive its daemon; 65 s in the package's unit. */
const END_SECONDS = 5;

export const accountingUnit: Case = {
  title:
    "scripts run in a unit of their own, or else in a child process, and are ended if they hang",
  async run({ slowness, note }) {
    putScript(TEXT, [`TimeoutStopSec=${END_SECONDS}`]);
    sh(`systemctl stop ${SERVICE}`);
    const answer = [`answer_seconds = ${3 * slowness}`];
    configure(...answer);
    let cursor = journalCursor();
    sh(`systemctl start ${SERVICE}`);
    const scope = await Scope.start(slowness);
    try {
      const first = await untilUnit(slowness);
      await untilSaid(slowness, cursor, new RegExp(`accounting with ${SCRIPT} in ${first}`));
      assert.equal(property(first, "User"), "cm4all-spawn-reaper");
      assert.equal(property(first, "Slice"), "system-cm4all.slice");
      assert.match(sh(`cat /proc/${property(first, "MainPID")}/status`), /CapEff:\t0+\n/);
      scope.run("job", "true; cat /proc/self/status >/dev/null");
      await untilSaid(slowness, cursor, /lua\s\S*\/job\sfalse\sfalse\sfalse\snil/);
      assertNotRoot(cursor);

      // The script host hangs, and is ended together with the processes that it has started.
      scope.run("hang", "cat /proc/self/status >/dev/null");
      await untilSaid(slowness, cursor, /no sign of life/);
      const second = await untilUnit(slowness, first);
      assert.equal(attempt("pgrep -xf 'sleep 987654'").status, 1);

      // A reload of the same configuration keeps the unit; a reload with a new limit replaces it.
      sh(`systemctl reload ${SERVICE}`);
      assert.equal(await untilUnit(slowness), second);
      configure(...answer, "memory_mib = 100");
      sh(`systemctl reload ${SERVICE}`);
      const third = await untilUnit(slowness, second);

      // The daemon dies while its script hangs: the new daemon does not wait for that script.
      cursor = journalCursor();
      configure("answer_seconds = 1000");
      sh(`systemctl reload ${SERVICE}`);
      const fourth = await untilUnit(slowness, third);
      scope.run("hang2", "cat /proc/self/status >/dev/null");
      await untilSaid(slowness, cursor, /lua\s\S*\/hang2/);
      const daemon = mainPid();
      const startMs = performance.now();
      sh(`kill -KILL ${daemon}`);
      await waitFor("a new daemon", 10_000 * slowness, () => ![0, daemon].includes(mainPid()));
      await waitFor(
        "the new daemon is ready",
        10_000 * slowness,
        () => property(SERVICE, "SubState") === "running",
      );
      note(`new daemon after ${Math.round(performance.now() - startMs)} ms`);
      await untilUnit(slowness, fourth);
      await waitFor(
        "the script host that hung is gone",
        (END_SECONDS + 10) * 1000 * slowness,
        () => pidsOf(fourth).length === 0,
      );
      assert.equal(attempt("pgrep -xf 'sleep 987654'").status, 1);

      // The script runs in a child process: first because the configuration names a user other than
      // the unit's, then because the socket that starts units is missing.
      for (const [change, reason] of [
        [() => configure('user = "daemon"'), /accounting.user has 1$/m],
        [
          () => {
            configure(...answer);
            sh(`systemctl mask --now ${SCRIPT_SOCKET}`);
          },
          /not in a unit of its own.*E(CONNREFUSED|NOENT)/,
        ],
      ] as const) {
        cursor = journalCursor();
        change();
        sh(`systemctl restart ${SERVICE}`);
        await untilSaid(slowness, cursor, reason);
        await untilSaid(slowness, cursor, /accounting with \S+ in a child process/);
        assert.deepEqual(scriptUnits(), []);
        scope.run("child", "cat /proc/self/status >/dev/null");
        await untilSaid(slowness, cursor, /lua\s\S*\/child/);
        assertNotRoot(cursor);
      }

      // The socket is back, so the next script host runs in a unit again.
      sh(`systemctl unmask ${SCRIPT_SOCKET}; systemctl start ${SCRIPT_SOCKET}`);
      cursor = journalCursor();
      sh("pkill -KILL -xf 'cm4all-spawn script host'");
      const last = await untilUnit(slowness);
      await untilSaid(slowness, cursor, new RegExp(`accounting with ${SCRIPT} in ${last}`));
      scope.run("unit", "cat /proc/self/status >/dev/null");
      await untilSaid(slowness, cursor, /lua\s\S*\/unit/);
      sh(`systemctl stop ${SERVICE}`);
      assert.deepEqual(scriptUnits(), []);
      assert.equal(attempt("systemctl --failed --no-legend").stdout, "");
    } finally {
      scope.stop();
      sh(`systemctl unmask ${SCRIPT_SOCKET}`);
      removeScript();
    }
  },
};
