/** Plans the steps that make links, bring them up, and give them addresses. Pure. */
import { AF_INET, type NewLink, type StackedKind } from "@cm4all/linux";
import {
  type EndDescription,
  hostNameOf,
  type LinkDescription,
  type StackedDescription,
  type VethDescription,
} from "./description.ts";
import { publishedTargets } from "./rules.ts";
import type { Place, Step } from "./step.ts";

const newLink = (name: string, { mtuBytes, mac, tuning }: EndDescription): NewLink => ({
  name,
  mtuBytes,
  mac,
  ...tuning,
});

/** Returns the steps that make a link and its VLANs, without addresses and not yet up. */
export function planLink(link: LinkDescription, name: string): Step[] {
  const origin = link.origin === "" ? undefined : link.origin;
  const steps = link.type === "veth" ? planVeth(link, name, origin) : planStacked(link, origin);
  const ends: [Place, EndDescription][] = [[{ side: "inside", link: link.name }, link.inside]];
  if (link.type === "veth")
    ends.push([{ side: "outside", link: hostNameOf(link, name) }, link.outside]);
  for (const [place, { vlans = [] }] of ends)
    for (const { id, name: vlan, mtuBytes, origin: line } of vlans)
      steps.push({ kind: "make-vlan", place, name: vlan, id, mtuBytes, origin: line });
  return steps;
}

function planVeth(link: VethDescription, name: string, origin: string | undefined): Step[] {
  const hostName = hostNameOf(link, name);
  const { port } = link;
  const steps: Step[] = [
    {
      kind: "make-pair",
      outside: newLink(hostName, link.outside),
      inside: newLink(link.name, link.inside),
      bridge: port?.value.bridge,
      origin: port?.origin ?? origin,
    },
  ];
  if (port === undefined) return steps;
  const { vlan, taggedVlans, isolated } = port.value;
  if (vlan !== undefined || taggedVlans.length > 0 || isolated)
    steps.push({ kind: "set-port", link: hostName, port: port.value, origin: port.origin });
  return steps;
}

function planStacked(link: StackedDescription, origin: string | undefined): Step[] {
  const { parent } = link;
  const made = newLink(link.name, link.inside);
  if (link.type === "move")
    return [{ kind: "move-link", parent: parent.value, link: made, origin: parent.origin }];
  const stacked = stackedKind(link);
  return [{ kind: "make-stacked", parent: parent.value, link: made, stacked, origin }];
}

function stackedKind({ type, mode, id }: StackedDescription): StackedKind {
  if (type === "vlan") return { kind: "vlan", id: id ?? 0 };
  if (type === "ipvlan")
    return { kind: "ipvlan", mode: mode === "l3" || mode === "l3s" ? mode : "l2" };
  const known = ["private", "vepa", "bridge", "passthru"] as const;
  return { kind: "macvlan", mode: known.find((one) => one === mode) ?? "bridge" };
}

/** Plans changes to the host's forwarding settings of single links, never to the global one. */
export function planForwarding(
  links: readonly LinkDescription[],
  name: string,
  uplinks: readonly string[],
): Step[] {
  const steps: Step[] = [];
  for (const link of links) {
    if (link.type !== "veth") continue;
    const families = forwardedFamilies(link);
    const [origin] = [link.masquerade?.origin, ...link.publish.map((port) => port.origin)].filter(
      (line) => line !== undefined,
    );
    if (families.length > 0)
      for (const one of [hostNameOf(link, name), ...uplinks])
        steps.push({ kind: "forward", link: one, families, origin });
  }
  return steps;
}

/** Returns the families whose packets the host forwards for the link. */
export function forwardedFamilies(link: LinkDescription): ("ipv4" | "ipv6")[] {
  if (link.type !== "veth") return [];
  const found = new Set(link.masquerade?.value ?? []);
  for (const { value } of link.publish)
    for (const { family } of publishedTargets(link, value))
      found.add(family === AF_INET ? "ipv4" : "ipv6");
  return [...found].sort();
}

/**
 * Returns the steps that bring up one end of a link, with its VLANs: none if the description says
 * `up = false`, or if `allowed` is false.
 */
export function planSetUp(end: EndDescription, place: Place, allowed: boolean): Step[] {
  if (!allowed || end.up === false) return [];
  const vlans = (end.vlans ?? []).map((vlan) => vlan.name);
  return [place.link, ...vlans].map((link) => ({
    kind: "set-up",
    place: { side: place.side, link },
  }));
}

/**
 * Returns the steps for the addresses and routes of one end. They come after the step that brings
 * the end up, if there is one.
 */
export function planEnd(end: EndDescription, place: Place, shared: boolean): Step[] {
  const steps: Step[] = [];
  for (const [link, part] of [
    [place.link, end] as const,
    ...(end.vlans ?? []).map((vlan) => [vlan.name, vlan] as const),
  ]) {
    const at: Place = { side: place.side, link };
    for (const { value, origin } of part.addresses)
      steps.push({ kind: "add-address", place: at, prefix: value, shared, origin });
    // The routes and the script may need the address: the wait for it comes before them.
    const ipv6 = part.addresses.find(({ value }) => value.address.bytes.length === 16);
    if (shared && ipv6 !== undefined && end.up !== false)
      steps.push({ kind: "await-addresses", link, origin: ipv6.origin });
    for (const { value, origin } of part.routes)
      steps.push({ kind: "add-route", place: at, route: value, origin });
  }
  return steps;
}
