/** Checks that the host has what the description needs. */
import { existsSync, readFileSync } from "node:fs";
import { CommandFailure, EX_CANTCREAT, EX_CONFIG, EX_UNAVAILABLE } from "@cm4all/command";
import {
  AF_INET,
  AF_INET6,
  getRoutes,
  IFF_UP,
  type Link,
  parseRoute,
  type RtnetlinkSocket,
} from "@cm4all/linux";
import type {
  BridgePort,
  Description,
  Located,
  StackedDescription,
  VethDescription,
} from "./description.ts";
import { hostNameOf } from "./description.ts";
import { findObstacles, forwardingTables } from "./foreign-tables.ts";
import { type Family, ipv6ForwardingProblem } from "./forwarding.ts";
import { tryGetLink, tryGetLinkByIndex } from "./holdings.ts";
import { listJson } from "./nft.ts";
import { forwardedFamilies } from "./plan-links.ts";

const LOOPBACK_INDEX = 1;

export interface HostFacts {
  readonly problems: readonly CommandFailure[];
  /** What will not work until the administrator changes the host, and why. */
  readonly warnings: readonly string[];
  /** Links of the host to which packets are forwarded. */
  readonly uplinks: readonly string[];
}

/**
 * Checks, before anything is made, that the host has what a description needs. Returns what is
 * missing (`problems`), the warnings, and the uplinks.
 */
export function checkHost(
  description: Description,
  name: string,
  host: RtnetlinkSocket,
): HostFacts {
  const problems: CommandFailure[] = [];
  for (const link of description.links)
    problems.push(
      ...(link.type === "veth" ? portProblems(link, host) : parentProblems(link, host)),
    );
  const needsNft =
    description.firewall !== undefined ||
    description.links.some((link) => forwardedFamilies(link).length > 0);
  if (needsNft && !isOnPath("nft"))
    problems.push(new CommandFailure("nft(8) is missing: install nftables", EX_UNAVAILABLE));
  const routed = description.links.filter(
    (link): link is VethDescription => link.type === "veth" && forwardedFamilies(link).length > 0,
  );
  const warnings = description.links.flatMap((link) =>
    link.type === "veth" && link.port !== undefined ? bridgeObstacles(link.port) : [],
  );
  if (routed.length === 0) return { problems, warnings, uplinks: [] };
  const found = findUplinks(routed, host, problems);
  warnings.push(...found.warnings);
  for (const link of routed) {
    const families = forwardedFamilies(link);
    const origin = link.masquerade?.origin ?? link.publish[0]?.origin ?? "";
    const problem = families.includes("ipv6") ? ipv6ForwardingProblem() : undefined;
    if (problem !== undefined)
      problems.push(new CommandFailure(`${origin}: ${problem}`, EX_CONFIG));
    warnings.push(...obstacles(hostNameOf(link, name), families, origin));
  }
  return { problems, warnings, uplinks: found.uplinks };
}

function isOnPath(program: string): boolean {
  const path = process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin";
  return path.split(":").some((directory) => existsSync(`${directory}/${program}`));
}

function portProblems({ port }: VethDescription, host: RtnetlinkSocket): CommandFailure[] {
  if (port === undefined) return [];
  const { bridge, vlan, taggedVlans } = port.value;
  const fail = (problem: string) => [new CommandFailure(`${port.origin}: ${problem}`, EX_CONFIG)];
  const link = tryGetLink(host, bridge);
  if (link === undefined) return fail(`there is no bridge ${bridge} on the host`);
  if (link.kind !== "bridge") return fail(`${bridge} is not a bridge`);
  if ((vlan !== undefined || taggedVlans.length > 0) && link.bridge?.vlanFiltering !== true)
    return fail(
      `the bridge ${bridge} does not filter VLANs; run "ip link set ${bridge} type bridge vlan_filtering 1", or set VLANFiltering=yes in its .netdev file`,
    );
  return [];
}

function parentProblems(link: StackedDescription, host: RtnetlinkSocket): CommandFailure[] {
  const { type, parent } = link;
  const fail = (problem: string, status = EX_CONFIG) => [
    new CommandFailure(`${parent.origin}: ${problem}`, status),
  ];
  const found = tryGetLink(host, parent.value);
  if (found === undefined) return fail(`there is no link ${parent.value} on the host`);
  const problem = parentProblem(type, parent.value, found);
  return problem === undefined ? [] : fail(problem, EX_CANTCREAT);
}

function parentProblem(
  type: StackedDescription["type"],
  name: string,
  { index, masterIndex, flags }: Link,
): string | undefined {
  if (index === LOOPBACK_INDEX)
    return type === "move"
      ? "the loopback device cannot be moved"
      : `the loopback device cannot carry other links`;
  if ((type === "macvlan" || type === "ipvlan") && masterIndex !== undefined)
    return `${name} is a port of a bridge or a bond already: it cannot carry a link of type ${type}`;
  if (type === "vlan" && (flags & IFF_UP) === 0)
    return `${name} is down, and a VLAN on it cannot be brought up until ${name} is up`;
  return undefined;
}

function findUplinks(
  links: readonly VethDescription[],
  host: RtnetlinkSocket,
  problems: CommandFailure[],
): { uplinks: string[]; warnings: string[] } {
  const found = new Set<string>();
  const warnings: string[] = [];
  for (const link of links) {
    for (const { value, origin } of link.uplinks ?? []) {
      if (tryGetLink(host, value) === undefined)
        problems.push(
          new CommandFailure(`${origin}: there is no link ${value} on the host`, EX_CONFIG),
        );
      found.add(value);
    }
    if (link.uplinks !== undefined) continue;
    const names = defaultRouteLinks(host);
    for (const name of names) found.add(name);
    if (names.length === 0)
      warnings.push(
        "the host has no default route: set uplinks in [outside] to the links to which packets are forwarded",
      );
  }
  return { uplinks: [...found], warnings };
}

function defaultRouteLinks(host: RtnetlinkSocket): string[] {
  const indexes = new Set<number>();
  for (const family of [AF_INET, AF_INET6] as const)
    for (const route of host.dump(getRoutes(family)).map(parseRoute)) {
      const index = route?.linkIndex;
      // The kernel has an unreachable IPv6 default route on the loopback device.
      if (route?.destination.prefixLength === 0 && index !== undefined && index !== LOOPBACK_INDEX)
        indexes.add(index);
    }
  return [...indexes]
    .map((index) => tryGetLinkByIndex(host, index)?.name)
    .filter((name) => name !== undefined);
}

function obstacles(link: string, families: readonly Family[], origin: string): string[] {
  if (!isOnPath("nft")) return [];
  // The rules of our own tables are not listed: a thousand namespaces may have a thousand tables.
  const tables = forwardingTables(listJson("chains"));
  const listed = tables.map(({ family, table }) => listJson("table", family, table));
  return findObstacles(listed, link, families).map(
    ({ chain, remedies }) =>
      `${origin}: the nftables chain "${chain}" of another program drops forwarded packets; to let them through: ${remedies.join(" ; ")}`,
  );
}

/**
 * Returns warnings about chains that drop the packets of a bridge: with br_netfilter, which Docker
 * loads, these packets pass the forward hook, too.
 */
function bridgeObstacles({ value, origin }: Located<BridgePort>): string[] {
  const families = (["ipv4", "ipv6"] as const).filter((family) => isSet(bridgeSettings[family]));
  return families.length === 0 ? [] : obstacles(value.bridge, families, origin);
}

const bridgeSettings = {
  ipv4: "/proc/sys/net/bridge/bridge-nf-call-iptables",
  ipv6: "/proc/sys/net/bridge/bridge-nf-call-ip6tables",
};

const isSet = (path: string): boolean =>
  existsSync(path) && readFileSync(path, "utf8").trim() === "1";
