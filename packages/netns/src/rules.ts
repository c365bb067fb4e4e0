/** What the nftables of a namespace are to do, as data; nft-text.ts writes it down. Pure. */
import type { IpAddress } from "@cm4all/linux";
import {
  type Description,
  type FirewallDescription,
  hostNameOf,
  type PublishedPort,
  type VethDescription,
} from "./description.ts";

/** A port of the host with the places inside that it leads to, one of each family. */
export interface Forwarding extends PublishedPort {
  readonly to: readonly IpAddress[];
}

export interface LinkRules {
  /** On the host. */
  readonly link: string;
  readonly masquerade: readonly ("ipv4" | "ipv6")[];
  readonly publish: readonly Forwarding[];
}

export interface RuleSet {
  readonly table: string;
  /** Empty for a table inside, which is for all links but lo. */
  readonly links: readonly LinkRules[];
  readonly filter?: FirewallDescription | undefined;
  /** The first line that asks for it. */
  readonly origin?: string | undefined;
}

/** Starts the names of all our tables. */
export const TABLE_PREFIX = "cm4all-netns-";

/**
 * The table of a namespace. Names of namespaces may hold what nft(8) takes for syntax:
 * that is written as `_` and the byte's digits.
 */
export function tableName(namespace: string): string {
  const escaped = [...Buffer.from(namespace)].map((byte) => {
    const letter = String.fromCharCode(byte);
    return /[A-Za-z0-9.-]/.test(letter) ? letter : `_${byte.toString(16).padStart(2, "0")}`;
  });
  return TABLE_PREFIX + escaped.join("");
}

/** The rules on the host; undefined where there are none. */
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
  return { table: tableName(namespace), links, filter: firewall, origin };
}

/** Returns if any address is translated for a link. */
export const hasNat = ({ masquerade, publish }: LinkRules): boolean =>
  masquerade.length > 0 || publish.length > 0;

function linkRules(link: VethDescription, namespace: string): LinkRules {
  return {
    link: hostNameOf(link, namespace),
    masquerade: link.masquerade?.value ?? [],
    publish: link.publish.map(({ value }) => ({ ...value, to: targets(link, value) })),
  };
}

/** The first address of each family, or of that of the host's address which is published. */
function targets({ inside }: VethDescription, { address }: PublishedPort): IpAddress[] {
  const found = new Map<number, IpAddress>();
  for (const { value } of inside.addresses) {
    const { family } = value.address;
    if (address !== undefined && (family === 2) === address.includes(":")) continue;
    if (!found.has(family)) found.set(family, value.address);
  }
  return [...found.values()];
}

/** The rules inside; undefined where there are none. */
export function insideRules({ firewall }: Description): RuleSet | undefined {
  if (firewall?.place !== "inside") return undefined;
  return { table: `${TABLE_PREFIX}firewall`, links: [], filter: firewall };
}
