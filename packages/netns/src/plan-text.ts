/** Describes the steps of a plan in words, a line for each. Pure. */
import { formatIpAddress, formatMac, type NewLink } from "@cm4all/linux";
import type { BridgePort } from "./description.ts";
import { etcResolvConf, namespacePath } from "./paths.ts";
import { formatPublished } from "./ports.ts";
import type { RuleSet } from "./rules.ts";
import type { Step } from "./step.ts";

/** Describes a step. @param name the name of the namespace */
export function describeStep(step: Step, name: string): string {
  switch (step.kind) {
    case "make-namespace":
      return `make the network namespace ${namespacePath(name)}`;
    case "make-pair": {
      const port = step.bridge === undefined ? "" : ` (a port of ${step.bridge})`;
      return `make the veth pair ${describeLink(step.outside)}${port} - ${describeLink(step.inside)} (inside)`;
    }
    case "make-stacked": {
      const { stacked } = step;
      const how = stacked.kind === "vlan" ? `id ${stacked.id}` : `mode ${stacked.mode}`;
      return `make the ${stacked.kind} ${describeLink(step.link)} (inside) on ${step.parent}, ${how}`;
    }
    case "move-link":
      return `move ${step.parent} inside, as ${describeLink(step.link)}; down moves it back`;
    case "set-port":
      return `outside, set the port ${step.link}: ${describePort(step.port)}`;
    case "make-vlan": {
      const mtu = step.mtuBytes === undefined ? "" : ` mtu ${step.mtuBytes}`;
      return `${step.place.side}, make the vlan ${step.name}${mtu} on ${step.place.link}, id ${step.id}`;
    }
    case "write-sysctl":
      return `inside, set ${step.key} = ${step.value}`;
    case "forward":
      return `outside, let ${step.link} forward ${step.families.join(" and ")}`;
    case "load-table":
      return `${step.rules.side}, load the nftables table ${step.rules.table}: ${describeRules(step.rules)}`;
    case "set-up":
      return `${step.place.side}, set ${step.place.link} up`;
    case "add-address": {
      const { address, prefixLength } = step.prefix;
      return `${step.place.side}, give ${step.place.link} the address ${formatIpAddress(address)}/${prefixLength}`;
    }
    case "await-addresses":
      return `inside, wait for the check that nobody else has the IPv6 addresses of ${step.link}`;
    case "add-route": {
      const { destination, gateway, metric, onlink } = step.route;
      const to =
        destination.prefixLength === 0
          ? "the default route"
          : `a route to ${formatIpAddress(destination.address)}/${destination.prefixLength}`;
      const via = gateway === undefined ? "" : ` via ${formatIpAddress(gateway)}`;
      const cost = metric === undefined ? "" : ` metric ${metric}`;
      const near = onlink === true ? " onlink" : "";
      return `${step.place.side}, add ${to}${via} dev ${step.place.link}${cost}${near}`;
    }
    case "write-resolv-conf":
      return `write ${etcResolvConf(name)}: ${JSON.stringify(step.text)}`;
    case "run-script": {
      const limit = step.timeoutMs === 0 ? "" : `, ${step.timeoutMs / 1000} s at most`;
      return `inside, run ${[step.path, ...step.links].join(" ")}${limit}`;
    }
  }
}

/** Describes a link in the terms of ip-link(8). */
function describeLink(link: NewLink): string {
  const words: [string, string | number | undefined][] = [
    ["mtu", link.mtuBytes],
    ["address", link.mac === undefined ? undefined : formatMac(link.mac)],
    ["txqueuelen", link.txQueueLength],
    ["numtxqueues", link.txQueues],
    ["numrxqueues", link.rxQueues],
    ["gso_max_size", link.gsoMaxBytes],
    ["gso_max_segs", link.gsoMaxSegments],
    ["gro_max_size", link.groMaxBytes],
  ];
  const said = words.filter(([, value]) => value !== undefined);
  return [link.name, ...said.map(([word, value]) => `${word} ${value}`)].join(" ");
}

function describePort({ vlan, taggedVlans, isolated }: BridgePort): string {
  const parts: string[] = [];
  if (vlan !== undefined) parts.push(`vlan ${vlan}`);
  if (taggedVlans.length > 0) parts.push(`tagged vlans ${taggedVlans.join(" ")}`);
  if (isolated) parts.push("isolated");
  return parts.join(", ");
}

function describeRules({ links, filter }: RuleSet): string {
  const parts: string[] = [];
  for (const { masquerade, publish } of links) {
    if (masquerade.length > 0) parts.push(`masquerade ${masquerade.join(" and ")}`);
    for (const port of publish) parts.push(`publish ${formatPublished(port)}`);
  }
  if (filter !== undefined) parts.push(`in ${filter.incoming}, out ${filter.outgoing}`);
  return parts.join(", ");
}
