/** The links of a description: `[link]`, or several `[[link]]`. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { formatIpAddress, ipvlanModes } from "@cm4all/linux";
import { readEnd, readLinkName, readVlanId } from "./describe-end.ts";
import { readMasquerade, readPublish, readUplinks } from "./describe-nat.ts";
import { readPort } from "./describe-port.ts";
import {
  type EndDescription,
  type LinkDescription,
  type Located,
  noEnd,
  type StackedDescription,
  type VethDescription,
} from "./description.ts";
import { ifOfType, type Mistakes } from "./mistakes.ts";

const types = ["veth", "macvlan", "ipvlan", "vlan", "move", "none"] as const;
type Type = (typeof types)[number];

/** `source` needs a list of addresses that nothing here keeps. */
const macvlanModes = ["bridge", "private", "vepa", "passthru"];
const modes: Partial<Record<Type, readonly string[]>> = {
  macvlan: macvlanModes,
  ipvlan: Object.keys(ipvlanModes),
};

/** All links; without `[link]` there is one, a pair. */
export function readLinks(root: TomlTable, mistakes: Mistakes): LinkDescription[] {
  const several = ifOfType(() => root.tables("link"));
  if (several === undefined) {
    const table = mistakes.collect(() => root.table("link"));
    const ends = (key: "inside" | "outside") => mistakes.collect(() => root.table(key));
    const link = readLink(table, "net0", root, ends, mistakes);
    return link === undefined ? [] : [link];
  }
  for (const key of ["inside", "outside"] as const)
    if (root.keys().includes(key)) {
      mistakes.found.push(root.error(key, `with [[link]] it is [link.${key}] below each`));
      mistakes.collect(() => root.table(key));
    }
  const links: LinkDescription[] = [];
  for (const [i, table] of several.entries()) {
    const ends = (key: "inside" | "outside") => mistakes.collect(() => table.table(key));
    const link = readLink(table, `net${i}`, table, ends, mistakes);
    if (link !== undefined) links.push(link);
  }
  findEqualNames(links, mistakes);
  return links;
}

type Ends = (key: "inside" | "outside") => TomlTable | undefined;

function readLink(
  table: TomlTable | undefined,
  defaultName: string,
  parent: TomlTable,
  ends: Ends,
  mistakes: Mistakes,
): LinkDescription | undefined {
  const origin = table === undefined ? "" : `${table.file}:${table.line}`;
  const type = (table && mistakes.collect(() => readType(table))) ?? "veth";
  const name = (table && mistakes.collect(() => readLinkName(table, "name"))) ?? defaultName;
  if (name === "lo" && table !== undefined)
    mistakes.found.push(table.error("name", "lo is the loopback device"));
  const insideTable = ends("inside");
  const outsideTable = ends("outside");
  if (type !== "veth" && outsideTable !== undefined)
    mistakes.found.push(
      parent.error("outside", `${nameOfType(type)} has no other end on the host`),
    );
  if (type === "none") {
    if (insideTable !== undefined)
      mistakes.found.push(parent.error("inside", "there is no link, type is none"));
    if (table !== undefined) mistakes.collect(() => table.finish());
    return undefined;
  }
  if (type === "veth") {
    const link = readVeth({ name, origin, insideTable, outsideTable }, mistakes);
    if (table !== undefined) mistakes.collect(() => table.finish());
    return link;
  }
  if (table === undefined) return undefined;
  const inside = insideTable === undefined ? noEnd : finishedEnd(insideTable, name, mistakes);
  return readStacked(table, type, { name, inside, origin }, mistakes);
}

function readType(table: TomlTable): Type {
  const text = table.string("type") ?? "veth";
  const type = types.find((one) => one === text);
  if (type === undefined)
    throw table.error("type", `${JSON.stringify(text)} is none of ${types.join(", ")}`);
  return type;
}

const nameOfType = (type: Type): string =>
  type === "move" ? "a link that is moved" : type === "none" ? "type none" : `a ${type}`;

function finishedEnd(
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
  readonly origin: string;
  readonly insideTable: TomlTable | undefined;
  readonly outsideTable: TomlTable | undefined;
}

function readVeth(
  { name, origin, insideTable, outsideTable }: VethTables,
  mistakes: Mistakes,
): VethDescription {
  const auto = insideTable && readAuto(insideTable);
  const inside =
    insideTable === undefined
      ? noEnd
      : finishedEnd(insideTable, name, mistakes, auto !== undefined);
  if (outsideTable === undefined)
    return { type: "veth", name, inside, outside: noEnd, publish: [], auto, origin };
  const hostName = mistakes.collect(() => readLinkName(outsideTable, "name"));
  const port = readPort(outsideTable, mistakes);
  const masquerade = readMasquerade(outsideTable, inside, auto !== undefined, mistakes);
  const publish = readPublish(outsideTable, mistakes);
  const uplinks = readUplinks(outsideTable, mistakes);
  const outside = finishedEnd(outsideTable, hostName ?? "host", mistakes);
  const link: VethDescription = {
    type: "veth",
    name,
    inside,
    hostName,
    outside,
    port,
    masquerade,
    publish,
    uplinks,
    auto,
    origin,
  };
  findContradictions(link, outsideTable, mistakes);
  return link;
}

/** Takes `addresses = "auto"` away, before the rest is read as a list. */
function readAuto(table: TomlTable): string | undefined {
  if (ifOfType(() => table.string("addresses")) !== "auto") return undefined;
  return `${table.file}:${table.lineOf("addresses")}`;
}

function findContradictions(link: VethDescription, outside: TomlTable, mistakes: Mistakes): void {
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
      mistakes.add(own, 'addresses = "auto" brings the addresses of both ends and the gateway');
    if (port !== undefined)
      mistakes.add(auto, "a port of a bridge has no network of its own: auto cannot be used");
  }
  if (port === undefined) {
    const noAddress = inside.addresses.length === 0 && auto === undefined;
    const lost = publish[0];
    if (lost !== undefined && noAddress)
      mistakes.add(lost.origin, "there is no address inside that it could lead to");
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
  if ((end.vlans ?? []).length > 0)
    mistakes.found.push(outside.error("vlans", "a port of a bridge has none of its own"));
}

function readStacked(
  table: TomlTable,
  type: StackedDescription["type"],
  base: { name: string; inside: EndDescription; origin: string },
  mistakes: Mistakes,
): StackedDescription | undefined {
  const name = mistakes.collect(() => readLinkName(table, "parent"));
  const mode = mistakes.collect(() => readMode(table, type));
  const id = type === "vlan" ? mistakes.collect(() => readVlanId(table, "id")) : undefined;
  if (type === "vlan" && id === undefined && !table.keys().includes("id"))
    mistakes.found.push(table.error("id", "is missing: which VLAN?"));
  if (name === undefined && !table.keys().includes("parent"))
    mistakes.found.push(table.error("parent", `is missing: which link of the host?`));
  mistakes.collect(() => table.finish());
  refuseWhatTheKindHasNot(base.inside, type, table, mistakes);
  if (name === undefined) return undefined;
  const parent = { value: name, origin: `${table.file}:${table.lineOf("parent")}` };
  return { ...base, type, parent, mode, id };
}

function readMode(table: TomlTable, type: Type): string | undefined {
  const known = modes[type];
  if (known === undefined) return undefined;
  const mode = table.string("mode") ?? known[0];
  if (mode === undefined || !known.includes(mode))
    throw table.error("mode", `${JSON.stringify(mode)} is none of ${known.join(", ")}`);
  return mode;
}

function refuseWhatTheKindHasNot(
  { mac, tuning }: EndDescription,
  type: StackedDescription["type"],
  table: TomlTable,
  mistakes: Mistakes,
): void {
  if (type === "ipvlan" && mac !== undefined)
    mistakes.found.push(table.error("type", "an ipvlan has its parent's hardware address, no mac"));
  if (type === "move" && (tuning?.txQueues !== undefined || tuning?.rxQueues !== undefined))
    mistakes.found.push(table.error("type", "the number of queues is that of a new link"));
}

function findEqualNames(links: readonly LinkDescription[], mistakes: Mistakes): void {
  const hostNames = new Set<string | undefined>();
  for (const link of links) {
    if (link.type !== "veth") continue;
    if (hostNames.has(link.hostName))
      mistakes.add(
        link.origin,
        link.hostName === undefined
          ? "the host's end of the first pair is named like the namespace: [link.outside] has to say a name"
          : `the name ${link.hostName} is there twice on the host`,
      );
    hostNames.add(link.hostName);
  }
  const seen = new Set<string>();
  for (const { name, inside, origin } of links)
    for (const one of [name, ...(inside.vlans ?? []).map((vlan) => vlan.name)]) {
      if (seen.has(one)) mistakes.add(origin, `the name ${one} is there twice inside`);
      seen.add(one);
    }
}
