import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { attempt, sh } from "../tools/shell.ts";
import { ask, listen, makeWorld, pingFrom, removeWorld, withNamespace } from "./netns-world.ts";

const addresses = `addresses = ["192.0.2.5/24", "2001:db8::5/64"]
gateway = ["192.0.2.1", "2001:db8::1"]`;

export const netnsLinks: Case = {
  title: "ping and TCP work both ways through links of every type",
  async run({ slowness, note }) {
    makeWorld();
    const tried: string[] = [];
    /**
     * Sends pings and opens TCP connections in both directions.
     * @param pairs pairs of addresses: one inside `web`, and one in `world`
     */
    const talkBetween = (...pairs: [inside: string, world: string][]) => {
      listen("web", 80);
      listen("world", 7000);
      for (const [inside, world] of pairs) {
        pingFrom("web", world);
        pingFrom("world", inside);
        assert.equal(ask("web", world, 7000, slowness), inside);
        assert.equal(ask("world", inside, 80, slowness), world);
      }
      attempt("for pid in $(ip netns pids world); do kill $pid; done");
    };
    const talk = () => talkBetween(["192.0.2.5", "192.0.2.1"], ["2001:db8::5", "2001:db8::1"]);
    try {
      for (const [type, mode] of [
        ["macvlan", "bridge"],
        ["ipvlan", "l2"],
      ]) {
        if (!kernelHas(`link up0 type ${type}`)) continue;
        const link = `[link]\ntype = "${type}"\nparent = "up0"\nmode = "${mode}"\n`;
        await withNamespace("web", `${link}[inside]\n${addresses}`, talk);
        tried.push(type ?? "");
      }
      // The outer end of the namespace's link becomes a port of br0, like up0.
      sh("ip link add br0 type bridge && ip link set br0 up && ip link set up0 master br0");
      const port = `[outside]\nbridge = "br0"\n[inside]\n${addresses}`;
      await withNamespace("web", port, talk);
      tried.push("bridge");
      if (attempt("ip link set br0 type bridge vlan_filtering 1").status === 0) {
        // From VLAN 7, the world is out of reach until up0 is in that VLAN, too.
        await withNamespace(
          "web",
          port.replace("[inside]", "vlan = 7\nisolated = true\n[inside]"),
          () => {
            assert.notEqual(attempt("ip netns exec web ping -c 1 -W 3 192.0.2.1").status, 0);
            sh("bridge vlan add dev up0 vid 7 pvid untagged");
            talk();
            sh("bridge vlan delete dev up0 vid 7; bridge vlan add dev up0 vid 1 pvid untagged");
          },
        );
        tried.push("bridge's VLAN");
      }
      sh("ip link delete br0");
      if (kernelHas("link up0 type vlan id 9")) {
        sh("ip -n world link add link far name far.9 type vlan id 9");
        sh("ip -n world link set far.9 up; ip -n world address add 198.51.100.1/24 dev far.9");
        const tagged = 'addresses = ["198.51.100.5/24"]';
        const stacked = `[link]\ntype = "vlan"\nparent = "up0"\nid = 9\n[inside]\n${tagged}`;
        await withNamespace("web", stacked, () => talkBetween(["198.51.100.5", "198.51.100.1"]));
        // Inside the namespace, a VLAN on top of a macvlan.
        const onTop = `[link]\ntype = "macvlan"\nparent = "up0"\n[[inside.vlans]]\nid = 9\n${tagged}`;
        await withNamespace("web", onTop, () => talkBetween(["198.51.100.5", "198.51.100.1"]));
        tried.push("vlan", "vlan on top");
      }
      await moveThereAndBack("dummy", tried, () => pingFrom("web", "203.0.113.5"));
      await moveThereAndBack("veth peer name spare-far netns world", tried, () => {
        sh(
          "ip -n world link set spare-far up; ip -n world address add 203.0.113.1/24 dev spare-far",
        );
        talkBetween(["203.0.113.5", "203.0.113.1"]);
      });
      await withNamespace("web", '[link]\ntype = "none"', () => {
        assert.equal(sh("ip netns exec web ls /sys/class/net"), "lo");
      });
      const several = `[[link]]\n[link.inside]\naddresses = ["10.0.5.2/24"]
[link.outside]\naddresses = ["10.0.5.1/24"]
[[link]]\ntype = "macvlan"\nparent = "up0"\n[link.inside]\naddresses = ["192.0.2.5/24"]`;
      await withNamespace("web", several, () => {
        for (const address of ["10.0.5.1", "192.0.2.1"]) pingFrom("web", address);
      });
      tried.push("none", "several");
      note(tried.join(", "));
    } finally {
      attempt("ip link delete br0");
      removeWorld();
    }
  },
};

/**
 * Returns whether the kernel supports a kind of link: a container uses the host's kernel, which may
 * lack some.
 */
function kernelHas(link: string): boolean {
  return (
    attempt(
      `ip link add ${link.replace("link up0", "link up0 name probe")} && ip link delete probe`,
    ).status === 0
  );
}

/**
 * Moves a link to a namespace and back, unless the kernel lacks its kind.
 * @param link the kind of the link, with options: what `ip link add` takes after `type`
 */
async function moveThereAndBack(link: string, tried: string[], use: () => void): Promise<void> {
  if (attempt(`ip link add spare type ${link}`).status !== 0) return;
  sh("ip link set spare up mtu 1400");
  const before = settingsOf("spare");
  const moved = '[link]\ntype = "move"\nparent = "spare"\n[inside]\naddresses = ["203.0.113.5/24"]';
  await withNamespace("web", moved, () => {
    assert.notEqual(attempt("ip link show spare").status, 0);
    use();
  });
  assert.deepEqual(settingsOf("spare"), before);
  sh("ip link delete spare");
  tried.push(`move of a ${link.split(" ")[0]}`);
}

/** Returns the settings that `down` restores, without the carrier, which depends on the far end. */
function settingsOf(link: string) {
  const [shown] = JSON.parse(sh(`ip -j link show ${link}`));
  const { ifname, address, mtu, flags } = shown;
  return { ifname, address, mtu, isUp: flags.includes("UP") };
}
