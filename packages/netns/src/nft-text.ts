/** Formats rules in the language of nft(8), each table as a transaction. Pure. */
import { AF_INET, formatIpAddress, type IpAddress } from "@cm4all/linux";
import type { AcceptRule, Policy } from "./description.ts";
import { publishedAddress } from "./ports.ts";
import type { Forwarding, LinkRules, RuleSet } from "./rules.ts";

/** Returns the text that deletes a table. The text creates it first, in case there is none. */
export function deleteTableText(table: string): string {
  return `table inet ${table}\ndelete table inet ${table}\n`;
}

/**
 * Formats a table, which replaces an existing one of that name.
 * @param indexOf returns a link's index: rules use indexes, because udev and other programs rename
 * links
 */
export function formatRules(rules: RuleSet, indexOf: (link: string) => number): string {
  const { table, side, links, filter } = rules;
  const chains: string[] = [];
  const nat = links.filter(({ masquerade, publish }) => masquerade.length + publish.length > 0);
  if (nat.length > 0) chains.push(...natChains(nat, indexOf));
  if (filter !== undefined) {
    const indexes = links.flatMap(({ link, vlans }) => [link, ...vlans].map(indexOf));
    const published = links.some(({ publish }) => publish.length > 0);
    chains.push(...(side === "outside" ? outsideHooks(indexes) : insideHooks()));
    chains.push(
      filterChain("incoming", filter.incoming, filter.acceptIncoming, "saddr", published),
      filterChain("outgoing", filter.outgoing, filter.acceptOutgoing, "daddr", false),
    );
  }
  return `${deleteTableText(table)}table inet ${table} {\n${chains.join("\n")}}\n`;
}

const chain = (name: string, lines: readonly string[]): string =>
  `\tchain ${name} {\n${lines.map((line) => `\t\t${line}\n`).join("")}\t}\n`;

const family = (address: IpAddress): "ip" | "ip6" => (address.family === AF_INET ? "ip" : "ip6");

function natChains(links: readonly LinkRules[], indexOf: (link: string) => number): string[] {
  const publish = links.flatMap((link) => link.publish);
  const chains: string[] = [];
  if (publish.length > 0)
    chains.push(
      chain("nat-prerouting", [
        "type nat hook prerouting priority dstnat; policy accept;",
        ...publish.flatMap((port) => dnat(port)),
      ]),
      // For packets that the host itself sends. Packets to a loopback address are left alone: they
      // come from a loopback address as well, to which another namespace cannot answer.
      chain("nat-output", [
        "type nat hook output priority -100; policy accept;",
        "ip daddr 127.0.0.0/8 return",
        "ip6 daddr ::1 return",
        ...publish.flatMap((port) => dnat(port)),
      ]),
    );
  const postrouting = links.flatMap(({ link, masquerade, publish: ports }) => {
    const index = indexOf(link);
    const lines = masquerade.map(
      (name) => `meta nfproto ${name} iif ${index} oif != ${index} masquerade`,
    );
    // For a port that is used from the namespace to which it leads: the answer has to come back
    // through the host.
    if (ports.length > 0) lines.push(`iif ${index} oif ${index} ct status dnat masquerade`);
    return lines;
  });
  chains.push(
    chain("nat-postrouting", [
      "type nat hook postrouting priority srcnat; policy accept;",
      ...postrouting,
    ]),
  );
  return chains;
}

function dnat(port: Forwarding): string[] {
  const { hostPort, insidePort, protocol, to } = port;
  const address = publishedAddress(port);
  return to.map((target) => {
    const kind = family(target);
    const where = address === undefined ? "fib daddr type local" : `${kind} daddr ${address}`;
    const text = formatIpAddress(target);
    const place = kind === "ip" ? `${text}:${insidePort}` : `[${text}]:${insidePort}`;
    const nfproto = kind === "ip" ? "ipv4" : "ipv6";
    return `meta nfproto ${nfproto} ${where} ${protocol} dport ${hostPort} dnat ${kind} to ${place}`;
  });
}

/** Returns the chains for packets that the host forwards, receives or sends. */
function outsideHooks(indexes: readonly number[]): string[] {
  const set = `{ ${indexes.join(", ")} }`;
  const hook = (name: string, ...jumps: string[]) =>
    chain(name, [`type filter hook ${name} priority filter; policy accept;`, ...jumps]);
  return [
    hook("forward", `iif ${set} jump outgoing`, `oif ${set} jump incoming`),
    hook("input", `iif ${set} jump outgoing`),
    hook("output", `oif ${set} jump incoming`),
  ];
}

function insideHooks(): string[] {
  const hook = (name: string, jump: string) =>
    chain(name, [`type filter hook ${name} priority filter; policy accept;`, jump]);
  return [
    hook("input", 'iifname != "lo" jump incoming'),
    hook("output", 'oifname != "lo" jump outgoing'),
  ];
}

/** Messages that IPv6 needs for neighbour discovery and for multicast groups. @see RFC 4890 */
const neighbours =
  "nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert, " +
  "mld-listener-query, mld-listener-report, mld-listener-done, mld2-listener-report";

/**
 * Returns the chain of a direction. Its verdict for an accepted packet is `return`, not `accept`,
 * because the chain of the other direction may have to check the packet, too.
 */
function filterChain(
  name: string,
  policy: Policy,
  accepts: readonly AcceptRule[],
  peer: "saddr" | "daddr",
  published: boolean,
): string {
  if (policy === "open") return chain(name, ["return"]);
  return chain(name, [
    "ct state established,related return",
    ...(published ? ["ct status dnat return"] : []),
    `icmpv6 type { ${neighbours} } return`,
    ...accepts.map((accept) => `${formatAccept(accept, peer)}return`),
    "counter drop",
  ]);
}

function formatAccept({ match, ports, peer }: AcceptRule, direction: "saddr" | "daddr"): string {
  const parts: string[] = [];
  if (peer !== undefined)
    parts.push(
      `${family(peer.address)} ${direction} ${formatIpAddress(peer.address)}/${peer.prefixLength}`,
    );
  if (ports !== undefined) parts.push(`${match} dport ${ports}`);
  else if (match === "icmp") parts.push("meta l4proto { icmp, ipv6-icmp }");
  else if (match !== "any") parts.push(`meta l4proto ${match}`);
  return parts.map((part) => `${part} `).join("");
}
