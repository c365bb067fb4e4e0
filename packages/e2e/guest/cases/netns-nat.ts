import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";
import { ask, listen, makeWorld, removeWorld, withNamespace } from "./netns-world.ts";

const description = `
[outside]
addresses = ["10.0.5.1/24", "fd00:5::1/64"]
masquerade = "ipv4"
publish = ["8080:80/tcp"]
[inside]
addresses = ["10.0.5.2/24"]
gateway = "10.0.5.1"
[firewall]
in = "closed"
out = "closed"
accept_out = ["7000/tcp", "icmp"]
`;

export const netnsNat: Case = {
  title: "masquerading, a published port and the firewall work beside another program's table",
  async run({ slowness }) {
    makeWorld();
    try {
      sh(
        "nft 'table ip filter { chain DOCKER-USER { } ; chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; } ; }'",
      );
      const foreign = sh("nft list table ip filter");
      await withNamespace("web", description, () => {
        assert.match(
          sh("journalctl -u cm4all-spawn-netns@web -o cat"),
          /iptables -I DOCKER-USER -i web/,
        );
        assert.equal(sh("sysctl -n net.ipv4.ip_forward"), "0");
        listen("web", 80);
        listen("world", 7000);
        listen("world", 7001);
        assert.equal(ask("web", "192.0.2.1", 7000, slowness), undefined);
        assert.equal(sh("nft list table ip filter"), foreign);
        // These add the same rules as the iptables commands in the journal's warning.
        sh('nft insert rule ip filter DOCKER-USER oifname "web" accept');
        sh('nft insert rule ip filter DOCKER-USER iifname "web" accept');
        assert.equal(ask("web", "192.0.2.1", 7000, slowness), "192.0.2.2");
        assert.equal(ask("web", "192.0.2.1", 7001, slowness), undefined);
        assert.equal(ask("world", "192.0.2.2", 8080, slowness), "192.0.2.1");
        assert.equal(ask("world", "10.0.5.2", 80, slowness), undefined);
        attempt("for pid in $(ip netns pids world); do kill $pid; done");
        sh("nft delete table inet cm4all-netns-web");
        const [web] = JSON.parse(sh("cm4all-spawn-netns list --json"));
        assert.deepEqual(web.problems, ["the nftables table cm4all-netns-web is gone"]);
      });
    } finally {
      attempt("nft delete table ip filter");
      removeWorld();
    }
  },
};
