/** A veth pair in a description: its two ends, and what the host does for it (NAT, ports). Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { formatIpAddress } from "@cm4all/linux";
import { readEnd, readLinkName } from "./describe-end.ts";
import { readMasquerade, readPublish, readUplinks } from "./describe-nat.ts";
import { readPort } from "./describe-port.ts";
import { type EndDescription, type Located, noEnd, type VethDescription } from "./description.ts";
import { ifOfType, type Mistakes } from "./mistakes.ts";
import { publishedTargets } from "./rules.ts";

/** Reads an end, and refuses unknown keys in its table. */
export function finishedEnd(
  table: TomlTable,
  name: string,
  mistakes: Mistakes,
  auto = false,
): EndDescription {
  const end = readEnd(table, name, mistakes, auto);
  mistakes.collect(() => table.finish());
  return end;
}

interface VethTables {
  readonly name: string;
  readonly namespace: string;
  readonly origin: string;
  readonly insideTable: TomlTable | undefined;
  readonly outsideTable: TomlTable | undefined;
}

/** Reads a pair of virtual Ethernet links from the tables of its two ends. */
export function readVeth(
  { name, namespace, origin, insideTable, outsideTable }: VethTables,
  mistakes: Mistakes,
): VethDescription {
  const auto = insideTable && readAuto(insideTable);
  const inside =
    insideTable === undefined
      ? noEnd
      : finishedEnd(insideTable, name, mistakes, auto !== undefined);
  const base = { type: "veth", name, inside, auto, origin } as const;
  const link: VethDescription = {
    ...base,
    ...(outsideTable === undefined
      ? { outside: noEnd, publish: [] }
      : readOutside(outsideTable, namespace, base, mistakes)),
  };
  findContradictions(link, outsideTable, mistakes);
  return link;
}

function readOutside(
  table: TomlTable,
  namespace: string,
  { inside, auto }: Pick<VethDescription, "inside" | "auto">,
  mistakes: Mistakes,
): Omit<VethDescription, "type" | "name" | "inside" | "auto" | "origin"> {
  const hostName = mistakes.collect(() => readLinkName(table, "name"));
  const port = readPort(table, mistakes);
  const masquerade = readMasquerade(table, inside, auto !== undefined, mistakes);
  const publish = readPublish(table, mistakes);
  const uplinks = readUplinks(table, mistakes);
  const outside = finishedEnd(table, hostName ?? namespace, mistakes);
  return { hostName, outside, port, masquerade, publish, uplinks };
}

/**
 * Returns `FILE:LINE` of `addresses = "auto"`; undefined for any other value, which `readEnd`
 * reads.
 */
function readAuto(table: TomlTable): string | undefined {
  if (ifOfType(() => table.string("addresses")) !== "auto") return undefined;
  return `${table.file}:${table.lineOf("addresses")}`;
}

function findContradictions(
  link: VethDescription,
  outside: TomlTable | undefined,
  mistakes: Mistakes,
): void {
  const { inside, outside: end, port, masquerade, publish, auto } = link;
  const same = (bytes: Buffer) =>
    inside.addresses.some((other) => other.value.address.bytes.equals(bytes));
  for (const { value, origin } of end.addresses)
    if (same(value.address.bytes))
      mistakes.add(origin, `${formatIpAddress(value.address)} is the address of both ends`);
  const first = <T>(list: readonly Located<T>[]) => list[0]?.origin;
  if (auto !== undefined) {
    const own =
      first(end.addresses) ??
      first(inside.routes.filter(({ value }) => value.destination.prefixLength === 0));
    if (own !== undefined)
      mistakes.add(
        own,
        'addresses = "auto" already sets the addresses of both ends and the gateway',
      );
    if (port !== undefined)
      mistakes.add(auto, "a port of a bridge has no network of its own: auto cannot be used");
  }
  if (port === undefined) {
    const lost = publish.find(({ value }) => publishedTargets(link, value).length === 0);
    if (lost !== undefined && auto === undefined)
      mistakes.add(lost.origin, "there is no address inside to which this port could lead");
    return;
  }
  const bridged = [
    [first(end.addresses), "a port of a bridge has no addresses: they belong to the bridge"],
    [first(end.routes), "a port of a bridge has no routes: they belong to the bridge"],
    [
      masquerade?.origin,
      "the host sees packets of a port as the bridge's: masquerade belongs to the bridge",
    ],
    [
      first(publish),
      "the host sees packets of a port as the bridge's: publish belongs to the bridge",
    ],
  ] as const;
  for (const [origin, problem] of bridged) if (origin !== undefined) mistakes.add(origin, problem);
  if (outside !== undefined && (end.vlans ?? []).length > 0)
    mistakes.found.push(outside.error("vlans", "a port of a bridge has none of its own"));
}
