/** The nftables rules of a namespace, as data; nft-text.ts makes their text. Pure. */
import { AF_INET, type IpAddress } from "@cm4all/linux";
import {
  type Description,
  type FirewallDescription,
  hostNameOf,
  type PublishedPort,
  type VethDescription,
} from "./description.ts";
import { publishedFamily } from "./ports.ts";

/** A port of the host, with its targets inside, at most one of each family. */
export interface Forwarding extends PublishedPort {
  readonly to: readonly IpAddress[];
}

export interface LinkRules {
  /** The link on the host. */
  readonly link: string;
  /**
   * The VLANs on that link. The firewall needs their names, because the hooks see a packet of a VLAN
   * only as one of the VLAN's own link.
   */
  readonly vlans: readonly string[];
  readonly masquerade: readonly ("ipv4" | "ipv6")[];
  readonly publish: readonly Forwarding[];
}

export interface RuleSet {
  readonly table: string;
  /** A table outside is for the packets of `links`; one inside is for those of all links but lo. */
  readonly side: FirewallDescription["place"];
  /** Empty for a table inside. */
  readonly links: readonly LinkRules[];
  readonly filter?: FirewallDescription | undefined;
  /** The first line of the description that asks for the table. */
  readonly origin?: string | undefined;
}

/** The beginning of the names of all our tables. */
export const TABLE_PREFIX = "cm4all-netns-";

/**
 * Returns the name of a namespace's table. Bytes of the namespace's name that could be syntax of
 * nft(8), and `_` itself, are written as `_` and two hexadecimal digits.
 */
export function tableName(namespace: string): string {
  const escaped = [...Buffer.from(namespace)].map((byte) => {
    const letter = String.fromCharCode(byte);
    return /[A-Za-z0-9.-]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, "0")}`;
  });
  return TABLE_PREFIX + escaped.join("");
}

/** Returns the rules on the host; undefined if there are none. */
export function outsideRules(description: Description, namespace: string): RuleSet | undefined {
  const firewall = description.firewall?.place === "outside" ? description.firewall : undefined;
  const pairs = description.links.filter((link) => link.type === "veth");
  const links = pairs.map((link) => linkRules(link, namespace));
  const needed = firewall !== undefined || links.some((link) => hasNat(link));
  if (!needed) return undefined;
  const origins = pairs.flatMap(({ masquerade, publish }) => [
    masquerade?.origin,
    ...publish.map(({ origin }) => origin),
  ]);
  const origin = [...origins, firewall?.origin].find((line) => line !== undefined);
  return { table: tableName(namespace), side: "outside", links, filter: firewall, origin };
}

/** Returns true if any address is translated for a link. */
export const hasNat = ({ masquerade, publish }: LinkRules): boolean =>
  masquerade.length > 0 || publish.length > 0;

function linkRules(link: VethDescription, namespace: string): LinkRules {
  return {
    link: hostNameOf(link, namespace),
    vlans: (link.outside.vlans ?? []).map((vlan) => vlan.name),
    masquerade: link.masquerade?.value ?? [],
    publish: link.publish.map(({ value }) => ({ ...value, to: publishedTargets(link, value) })),
  };
}

/**
 * Returns the targets of a published port: the first address inside of each family, or only that
 * of the family to which the port is limited.
 */
export function publishedTargets({ inside }: VethDescription, port: PublishedPort): IpAddress[] {
  const only = publishedFamily(port);
  const found = new Map<string, IpAddress>();
  for (const { value } of inside.addresses) {
    const family = value.address.family === AF_INET ? "ipv4" : "ipv6";
    if ((only === undefined || only === family) && !found.has(family))
      found.set(family, value.address);
  }
  return [...found.values()];
}

/** Returns the rules inside; undefined if there are none. */
export function insideRules({ firewall }: Description): RuleSet | undefined {
  if (firewall?.place !== "inside") return undefined;
  return { table: `${TABLE_PREFIX}firewall`, side: "inside", links: [], filter: firewall };
}
