import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { shownBy } from "../tools/pages.ts";
import { attempt, sh } from "../tools/shell.ts";
import { isActive, property } from "../tools/systemd.ts";
import { CONFIG, EXAMPLES, unitOf } from "./netns-world.ts";

const UNIT = unitOf("web");

export const netnsService: Case = {
  title:
    "a drop-in moves a service into a namespace, a host socket is passed in, and sudo rules apply",
  run() {
    sh(`cp ${EXAMPLES}/web.toml ${CONFIG}/web.toml`);
    sh(
      "printf '[Service]\\nExecStart=sleep infinity\\n' >/etc/systemd/system/e2e-existing.service",
    );
    sh("mkdir -p /etc/systemd/system/e2e-existing.service.d");
    sh(`cp ${EXAMPLES}/service.conf /etc/systemd/system/e2e-existing.service.d/netns.conf`);
    sh(`cp ${EXAMPLES}/web-host* /etc/systemd/system/; systemctl daemon-reload`);
    try {
      sh("systemctl start e2e-existing.service");
      const pid = property("e2e-existing.service", "MainPID");
      const own = sh("cm4all-spawn-netns exec web -- readlink /proc/self/ns/net");
      assert.equal(sh(`readlink /proc/${pid}/ns/net`), own);
      assert.match(sh(`nsenter -t ${pid} -m cat /etc/resolv.conf`), /^nameserver 10\.0\.5\.1$/m);
      const line = shownBy("cm4all-spawn-netns.5", "BindReadOnlyPaths=").replace("NAME", "web");
      const service = `systemd-run -q --pipe --wait -p NetworkNamespacePath=/run/netns/web -p ${line}`;
      assert.match(sh(`${service} cat /etc/resolv.conf`), /^nameserver 10\.0\.5\.1$/m);
      // The socket belongs to the host, and the process that answers is in the namespace.
      sh("systemctl start web-host.socket");
      const answer = sh(
        "exec 3<>/dev/tcp/127.0.0.1/8080; echo hello >&3; head -n 1 <&3; sleep 0.5; " +
          "for p in $(pgrep -x cat); do readlink /proc/$p/ns/net; done",
      );
      assert.ok(answer.startsWith("hello"), answer);
      assert.ok(answer.includes(own), answer);
      // With the rule of the manual page, sudo lets a user into this namespace and no other.
      const rule = shownBy("cm4all-spawn-netns.8", "alice ALL=").replace("alice", "games");
      sh(`echo '${rule}' >/etc/sudoers.d/e2e`);
      const asUser = "setpriv --reuid=games --regid=games --init-groups sudo -n";
      const inside = `${asUser} cm4all-spawn-netns exec --sudo-user web --`;
      assert.equal(sh(`${inside} id -un`), "games");
      assert.equal(sh(`${inside} readlink /proc/self/ns/net`), own);
      assert.equal(
        sh(`${inside} grep CapEff /proc/self/status`).split(/\s+/)[1],
        "0000000000000000",
      );
      // All further arguments are the command, so no option can make it run as root.
      assert.notEqual(
        attempt(`${asUser} cm4all-spawn-netns exec --sudo-user web --user root id`).status,
        0,
      );
      for (const other of ["exec web -- id", "exec --sudo-user other -- id", "down web"])
        assert.notEqual(attempt(`${asUser} cm4all-spawn-netns ${other}`).status, 0, other);
      sh(`systemctl stop ${UNIT}`);
      assert.ok(!isActive("e2e-existing.service"));
    } finally {
      attempt(`systemctl stop web-host.socket e2e-existing.service ${UNIT}`);
      sh(
        "rm -rf /etc/sudoers.d/e2e /etc/systemd/system/e2e-existing.service* /etc/systemd/system/web-host*",
      );
      sh(`rm -f ${CONFIG}/web.toml; systemctl daemon-reload; systemctl reset-failed`);
    }
  },
};
