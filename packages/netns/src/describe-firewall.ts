/** The table `[firewall]` of a description. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { tryParseIpAddress, tryParseIpPrefix } from "@cm4all/linux";
import { isNetwork } from "./address-kind.ts";
import type { AcceptRule, FirewallDescription, LinkDescription, Policy } from "./description.ts";
import type { Mistakes } from "./mistakes.ts";

type Place = FirewallDescription["place"];

/** Reads `[firewall]`; returns undefined if there is none. Mistakes are collected, not thrown. */
export function readFirewall(
  table: TomlTable | undefined,
  links: readonly LinkDescription[],
  mistakes: Mistakes,
): FirewallDescription | undefined {
  if (table === undefined) return undefined;
  const origin = `${table.file}:${table.line}`;
  const place = mistakes.collect(() => choice<Place>(table, "place", ["outside", "inside"]));
  const incoming = mistakes.collect(() => choice<Policy>(table, "in", ["open", "closed"]));
  const outgoing = mistakes.collect(() => choice<Policy>(table, "out", ["open", "closed"]));
  const acceptIncoming = readAccepts(table, "accept_in", incoming, mistakes);
  const acceptOutgoing = readAccepts(table, "accept_out", outgoing, mistakes);
  mistakes.collect(() => table.finish());
  if (place === "outside") refuseUnseenLinks(links, origin, mistakes);
  return {
    place: place ?? "outside",
    incoming: incoming ?? "open",
    outgoing: outgoing ?? "open",
    acceptIncoming,
    acceptOutgoing,
    origin,
  };
}

function choice<T extends string>(table: TomlTable, key: string, known: readonly [T, T]): T {
  const text = table.string(key) ?? known[0];
  const found = known.find((one) => one === text);
  if (found === undefined)
    throw table.error(key, `${JSON.stringify(text)} is neither ${known[0]} nor ${known[1]}`);
  return found;
}

/**
 * Refuses links whose packets the host's netfilter hooks do not see, because the host does not
 * route them.
 */
function refuseUnseenLinks(
  links: readonly LinkDescription[],
  origin: string,
  mistakes: Mistakes,
): void {
  const way =
    'place = "inside" puts the rules into the namespace, where every process with CAP_NET_ADMIN can change them';
  // If there are mistakes already, a link with a mistake may be missing from the list.
  if (links.length === 0 && mistakes.found.length === 0)
    mistakes.add(origin, `without a link, there are no packets for the host's hooks; ${way}`);
  for (const link of links)
    if (link.type !== "veth")
      mistakes.add(
        origin,
        `the host's hooks do not see what ${link.name} (${link.type}) carries; ${way}`,
      );
    else if (link.port !== undefined)
      mistakes.add(
        origin,
        `the host's hooks do not see what ${link.name} carries over a bridge; ${way}`,
      );
}

const rule =
  /^(?:(?<ports>\d+(?:-\d+)?)\/)?(?<match>tcp|udp|icmp|any)(?:\s+(?<word>from|to)\s+(?<peer>\S+))?$/;

/**
 * Parses a rule, such as `80/tcp`, `8000-8100/udp from 10.0.0.0/8`, `icmp` or
 * `any to 192.0.2.1`; returns undefined for anything else.
 * @param word the word that must precede an address
 */
export function parseAccept(text: string, word: "from" | "to"): AcceptRule | undefined {
  const groups = rule.exec(text)?.groups;
  if (groups === undefined) return undefined;
  const { ports, match, peer } = groups;
  if (groups["word"] !== undefined && groups["word"] !== word) return undefined;
  if (match !== "tcp" && match !== "udp" && match !== "icmp" && match !== "any") return undefined;
  if (ports !== undefined) {
    if (match === "icmp" || match === "any") return undefined;
    const [first = 0, last = first] = ports.split("-").map(Number);
    if (first < 1 || last > 65535 || first > last) return undefined;
  }
  if (peer === undefined) return { match, ports };
  const address = tryParseIpAddress(peer);
  const prefix =
    address === undefined
      ? tryParseIpPrefix(peer)
      : { address, prefixLength: address.bytes.length * 8 };
  return prefix !== undefined && isNetwork(prefix) ? { match, ports, peer: prefix } : undefined;
}

function readAccepts(
  table: TomlTable,
  key: "accept_in" | "accept_out",
  policy: Policy | undefined,
  mistakes: Mistakes,
): AcceptRule[] {
  const word = key === "accept_in" ? "from" : "to";
  const rules: AcceptRule[] = [];
  for (const { value, line } of mistakes.collect(() => table.strings(key)) ?? []) {
    const accept = parseAccept(value, word);
    if (accept === undefined)
      mistakes.add(
        `${table.file}:${line}`,
        `${JSON.stringify(value)} is not a rule, such as "80/tcp", "8000-8100/udp ${word} 10.0.0.0/8", "icmp" or "any ${word} 192.0.2.1"`,
      );
    else rules.push(accept);
  }
  if (rules.length > 0 && policy === "open")
    mistakes.found.push(
      table.error(key, `everything is accepted: ${key === "accept_in" ? "in" : "out"} is open`),
    );
  return rules;
}
