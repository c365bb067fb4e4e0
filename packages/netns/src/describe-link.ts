/** The links of a description: `[link]`, or several `[[link]]`. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { ipvlanModes } from "@cm4all/linux";
import { readLinkName, readVlanId } from "./describe-end.ts";
import { finishedEnd, readVeth } from "./describe-veth.ts";
import {
  type EndDescription,
  type LinkDescription,
  noEnd,
  type StackedDescription,
} from "./description.ts";
import { ifOfType, type Mistakes } from "./mistakes.ts";

const types = ["veth", "macvlan", "ipvlan", "vlan", "move", "none"] as const;
type Type = (typeof types)[number];

/**
 * The modes of a macvlan, without `source`, which needs a list of addresses that a description
 * cannot contain.
 */
const macvlanModes = ["bridge", "private", "vepa", "passthru"];
const modes: Partial<Record<Type, readonly string[]>> = {
  macvlan: macvlanModes,
  ipvlan: Object.keys(ipvlanModes),
};

/** Reads all links; with neither `[link]` nor `[[link]]`, there is one: a veth pair. */
export function readLinks(
  root: TomlTable,
  namespace: string,
  mistakes: Mistakes,
): LinkDescription[] {
  const several = ifOfType(() => root.tables("link"));
  if (several === undefined) {
    const table = mistakes.collect(() => root.table("link"));
    const ends = (key: "inside" | "outside") => mistakes.collect(() => root.table(key));
    const link = readLink(table, { name: "net0", namespace, parent: root, ends }, mistakes);
    return link === undefined ? [] : [link];
  }
  for (const key of ["inside", "outside"] as const)
    if (root.keys().includes(key)) {
      mistakes.found.push(root.error(key, `with [[link]], write [link.${key}] below each`));
      mistakes.collect(() => root.table(key));
    }
  const links: LinkDescription[] = [];
  for (const [i, table] of several.entries()) {
    const ends = (key: "inside" | "outside") => mistakes.collect(() => table.table(key));
    const link = readLink(table, { name: `net${i}`, namespace, parent: table, ends }, mistakes);
    if (link !== undefined) links.push(link);
  }
  findEqualNames(links, mistakes);
  return links;
}

type Ends = (key: "inside" | "outside") => TomlTable | undefined;

interface Surroundings {
  /** The name of the link, unless its table gives another name. */
  readonly name: string;
  readonly namespace: string;
  /** The table that contains the tables of the ends. */
  readonly parent: TomlTable;
  readonly ends: Ends;
}

function readLink(
  table: TomlTable | undefined,
  { name: defaultName, namespace, parent, ends }: Surroundings,
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
      mistakes.found.push(parent.error("inside", "there is no link, because type is none"));
    if (table !== undefined) mistakes.collect(() => table.finish());
    return undefined;
  }
  if (type === "veth") {
    const link = readVeth({ name, namespace, origin, insideTable, outsideTable }, mistakes);
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
    throw table.error("type", `${JSON.stringify(text)} is not one of ${types.join(", ")}`);
  return type;
}

const nameOfType = (type: Type): string =>
  type === "move"
    ? "a link that is moved"
    : type === "none"
      ? "type none"
      : `${type === "ipvlan" ? "an" : "a"} ${type}`;

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
    throw table.error("mode", `${JSON.stringify(mode)} is not one of ${known.join(", ")}`);
  return mode;
}

function refuseWhatTheKindHasNot(
  { mac, tuning }: EndDescription,
  type: StackedDescription["type"],
  table: TomlTable,
  mistakes: Mistakes,
): void {
  if (type === "ipvlan" && mac !== undefined)
    mistakes.found.push(
      table.error("type", "an ipvlan has its parent's hardware address, so mac is not allowed"),
    );
  if (type === "move" && (tuning?.txQueues !== undefined || tuning?.rxQueues !== undefined))
    mistakes.found.push(table.error("type", "the number of queues can be set only for a new link"));
}

function findEqualNames(links: readonly LinkDescription[], mistakes: Mistakes): void {
  const hostNames = new Set<string | undefined>();
  for (const link of links) {
    if (link.type !== "veth") continue;
    if (hostNames.has(link.hostName))
      mistakes.add(
        link.origin,
        link.hostName === undefined
          ? "the host's end of the first pair has the name of the namespace: set another name in [link.outside]"
          : `the name ${link.hostName} is used twice on the host`,
      );
    hostNames.add(link.hostName);
  }
  const seen = new Set<string>();
  for (const { name, inside, origin } of links)
    for (const one of [name, ...(inside.vlans ?? []).map((vlan) => vlan.name)]) {
      if (seen.has(one)) mistakes.add(origin, `the name ${one} is used twice inside`);
      seen.add(one);
    }
}
