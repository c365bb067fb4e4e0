import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import {
  isActive,
  property,
  SCRIPT_SOCKET,
  SERVICE,
  SOCKET,
  systemdVersion,
} from "../tools/systemd.ts";

const SCRIPT_UNIT = "cm4all-spawn-accounting@0-1-0.service";
const REAPER = "cm4all-spawn-reaper.service";
const UNITS = [
  SERVICE,
  SOCKET,
  SCRIPT_SOCKET,
  SCRIPT_UNIT,
  REAPER,
  "system-cm4all.slice",
  "cm4all-spawn-netns@web.service",
];

/** The messages of systemd 252 about settings that were added in systemd 254. */
const NEWER =
  /Unknown key '(FileDescriptorStorePreserve|RestartSteps|RestartMaxDelaySec)' in section \[Service\], ignoring\.$/;

function exposure(unit: string): number {
  const line = sh(`systemd-analyze security --no-pager ${unit} | tail -n 1`);
  return Number(/level for \S+: ([\d.]+)/.exec(line)?.[1]);
}

/**
 * Checks that starting the reaper's unit starts the daemon, but only once, and that restarting the
 * unit restarts the daemon, as an administrator who has changed the script expects.
 */
async function restartTheReaper(timeoutMs: number): Promise<void> {
  const pid = () => property(SERVICE, "MainPID");
  const changed = async (old: string) => {
    await waitFor("a new daemon is active", timeoutMs, () => pid() !== old && isActive(SERVICE));
    assert.equal(sh("systemctl list-jobs --no-legend"), "");
  };
  sh(`systemctl stop ${REAPER} ${SERVICE}; systemctl start ${REAPER}`);
  await changed("0");
  let old = pid();
  sh(`systemctl start ${REAPER}; systemctl reload ${REAPER}`);
  assert.equal(pid(), old);
  // First while the reaper's unit is active, then while it is inactive, as after a boot.
  for (const before of ["start", "stop"]) {
    old = pid();
    sh(`systemctl ${before} ${REAPER}`);
    assert.equal(pid(), old);
    sh(`systemctl restart ${REAPER}`);
    await changed(old);
  }
}

/** Checks that SIGUSR1 does not open Node's debugger on port 9229. */
function assertNoDebugger(unit: string): void {
  const pid = property(unit, "MainPID");
  assert.doesNotMatch(sh(`tr '\\0' '\\n' </proc/${pid}/environ`), /^NODE_OPTIONS=/m);
  sh(`for i in 1 2 3; do kill -USR1 ${pid}; sleep 0.5; done`);
  // If a socket were listening, its inode would be among the descriptors of the process.
  const listening = sh("awk '$4 == \"0A\" { print $10 }' /proc/net/tcp /proc/net/tcp6").split("\n");
  const own = sh(`find /proc/${pid}/fd -lname 'socket:*' -printf '%l\\n'`);
  for (const inode of listening.filter(Boolean))
    assert.ok(!own.includes(`socket:[${inode}]`), `${unit} listens on TCP`);
  assert.equal(property(unit, "MainPID"), pid);
}

export const install: Case = {
  title: "the packages install, their units start and pass systemd-analyze",
  async run({ note, slowness }) {
    sh("apt-get -q -y --no-install-recommends install /e2e/in/packages/*.deb");
    assert.equal(sh("dpkg --audit"), "");
    assert.ok(isActive(SOCKET), "the socket is active");
    assert.ok(isActive(SERVICE), "the service is active");
    assert.ok(isActive(SCRIPT_SOCKET), "the socket of scripts is active");
    assert.equal(sh("stat -c '%a %U' /run/cm4all-spawn-accounting.sock"), "600 root");
    for (const unit of [SOCKET, SERVICE])
      assert.equal(sh(`systemctl is-enabled ${unit}`), "enabled");
    assert.equal(property(SERVICE, "Slice"), "system-cm4all.slice");
    const isOld = systemdVersion() < 254;
    assert.equal(property(SERVICE, "FileDescriptorStorePreserve"), isOld ? "" : "yes");
    assert.equal(property("cm4all-spawn-accessory.socket", "Id"), SOCKET);
    assert.equal(property("cm4all-spawn-accessory.service", "Id"), SERVICE);
    sh("systemctl start cm4all-spawn-reaper.service; systemctl stop cm4all-spawn-reaper.service");
    await restartTheReaper(10_000 * slowness);
    sh("id cm4all-spawn-reaper");
    assert.equal(sh("stat -c '%a %U %G' /var/lib/cm4all-spawn"), "700 root root");
    for (const unit of UNITS) {
      const lines = sh(`systemd-analyze verify --man=no ${unit} 2>&1`).split("\n").filter(Boolean);
      assert.deepEqual(isOld ? lines.filter((line) => !NEWER.test(line)) : lines, []);
    }
    const [daemon, script] = [exposure(SERVICE), exposure(SCRIPT_UNIT)];
    // The tests of packages/deb have the same limits; systemd 252 and 257 compute the same figures.
    assert.ok(daemon <= 3.9 && script <= 1.2, `${daemon} ${script}`);
    note(`systemd ${systemdVersion()}, exposure of the daemon ${daemon}, of scripts ${script}`);
    assertNoDebugger(SERVICE);
    const status = attempt("cm4all-spawn status");
    // Status 1 also means that the daemon runs; the output then names what the host lacks.
    assert.ok(status.status === 0 || status.status === 1, status.stdout + status.stderr);
    assert.equal(attempt("systemctl --failed --no-legend").stdout, "");
  },
};
