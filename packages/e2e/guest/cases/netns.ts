import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { Case } from "../case.ts";
import { shownBy } from "../tools/pages.ts";
import { attempt, sh, waitFor } from "../tools/shell.ts";
import { isActive, property } from "../tools/systemd.ts";

const EXAMPLES = "/usr/share/doc/cm4all-spawn-netns/examples/netns";
const CONFIG = "/etc/cm4all/spawn/netns";
const UNIT = "cm4all-spawn-netns@web.service";

type Pair = readonly [outside: string, inside: string];

const IPV4: Pair = ["10.0.5.1", "10.0.5.2"];
const IPV6: Pair = ["fd00:5::1", "fd00:5::2"];

/** Returns the parts of the manual page's example, by the comments above them. */
function partsShown(): ReadonlyMap<string, string> {
  const [, ...parts] = shownBy("cm4all-spawn-netns.8", "# /etc/cm4all").split(/^# /m);
  return new Map(
    parts.map((part) => {
      const end = part.indexOf("\n");
      return [part.slice(0, end), part.slice(end + 1)];
    }),
  );
}

export const netns: Case = {
  title: "cm4all-spawn-netns@ works with a file or a script, networkd outside and a service inside",
  async run({ slowness }) {
    sh(`cp ${EXAMPLES}/web.network /etc/systemd/network/; systemctl restart systemd-networkd`);
    const shown = partsShown();
    const inside = `${shown.get("in the unit of the service")}\nExecStart=sleep infinity\n`;
    writeFileSync("/run/systemd/system/e2e-inside.service", inside);
    sh("systemctl daemon-reload");
    try {
      for (const file of ["web.toml", "web"]) {
        const target = file === "web" ? `${CONFIG}/setup.d/web` : `${CONFIG}/web.toml`;
        sh(`install -m ${file === "web" ? 755 : 644} ${EXAMPLES}/${file} ${target}`);
        await useIt(slowness, [IPV4, IPV6]);
        sh(`rm ${target}`);
      }
      for (const path of [`${CONFIG}/web.toml`, "/etc/systemd/network/web.network"])
        writeFileSync(path, shown.get(path) ?? "");
      sh("systemctl restart systemd-networkd");
      await useIt(slowness, [IPV4]);
      sh(`rm ${CONFIG}/web.toml`);
      sh(`printf '#!/bin/sh\\nexit 7\\n' >${CONFIG}/setup.d/web; chmod 755 ${CONFIG}/setup.d/web`);
      assert.notEqual(attempt(`systemctl start ${UNIT}`).status, 0);
      assert.equal(property(UNIT, "ActiveState"), "failed");
      assertNothingLeft();
    } finally {
      attempt(`systemctl stop e2e-inside.service ${UNIT}; systemctl reset-failed ${UNIT}`);
      sh(`rm -f ${CONFIG}/setup.d/web ${CONFIG}/web.toml /etc/systemd/network/web.network`);
      sh("rm /run/systemd/system/e2e-inside.service; systemctl daemon-reload");
      sh("systemctl stop systemd-networkd.socket systemd-networkd.service");
    }
  },
};

/**
 * Starts the service inside, which brings up the namespace; pings in both directions; and stops
 * the namespace, which stops the service.
 */
async function useIt(slowness: number, pairs: readonly Pair[]): Promise<void> {
  sh("systemctl start e2e-inside.service");
  assert.ok(isActive(UNIT));
  for (const [outside, inside] of pairs) {
    await waitFor(`networkd has set ${outside}`, 10_000 * slowness, () =>
      sh("ip address show dev web").includes(`${outside}/`),
    );
    await waitFor(
      `${inside} answers`,
      10_000 * slowness,
      () => attempt(`ping -c 1 -W 5 ${inside}`).status === 0,
    );
    sh(`cm4all-spawn-netns exec web -- ping -c 1 -W 10 ${outside}`);
  }
  const pid = property("e2e-inside.service", "MainPID");
  assert.equal(
    sh(`readlink /proc/${pid}/ns/net`),
    sh("cm4all-spawn-netns exec web -- readlink /proc/self/ns/net"),
  );
  sh(`systemctl stop ${UNIT}`);
  assert.ok(!isActive("e2e-inside.service"));
  assertNothingLeft();
}

function assertNothingLeft(): void {
  assert.notEqual(attempt("ip link show web").status, 0);
  assert.notEqual(attempt("test -e /run/netns/web").status, 0);
}
