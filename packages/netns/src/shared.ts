/**
 * The resources that namespaces share: the networks of the pool and the ports of the host. The
 * record of each namespace lists its share.
 */
import { existsSync } from "node:fs";
import { CommandFailure, EX_CANTCREAT, EX_CONFIG } from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { MAX_TEXT_FILE, readRegularFile } from "@cm4all/command/regular-file";
import {
  AF_INET,
  AF_INET6,
  getRoutes,
  type IpPrefix,
  parseRoute,
  type RtnetlinkSocket,
  tryParseIpPrefix,
} from "@cm4all/linux";
import { fillIn, hasAuto } from "./auto.ts";
import type { Description, Located, PublishedPort } from "./description.ts";
import { CONFIG_FILE } from "./paths.ts";
import { formatPrefix, overlaps, type Pool, takeNetwork } from "./pool.ts";
import { portsClash } from "./ports.ts";
import { peekAllRecords } from "./record.ts";
import type { NamespaceRecord } from "./record-text.ts";

export interface Reservation {
  readonly description: Description;
  readonly pool: readonly string[];
  readonly publish: readonly PublishedPort[];
}

/** Returns the ports of the host that are published for the links of a description. */
export const publishedPorts = ({ links }: Description): Located<PublishedPort>[] =>
  links.flatMap((link) => (link.type === "veth" ? link.publish : []));

/** Returns true if the description asks for anything that another namespace may have taken. */
export const needsReservation = (description: Description): boolean =>
  hasAuto(description) || publishedPorts(description).length > 0;

/**
 * Finds free networks and checks the ports. To be called within `withSharedLock` if the result is
 * to be recorded.
 * @param pools the pools of the configuration; used only if the description asks for networks
 * @throws CommandFailure
 */
export function reserve(
  name: string,
  description: Description,
  pools: readonly Pool[],
  host: RtnetlinkSocket,
): Reservation {
  const records = peekAllRecords();
  const own = records.get(name);
  records.delete(name);
  const publish = publishedPorts(description);
  for (const port of publish) checkPort(port, records);
  const filled = hasAuto(description)
    ? takeNetworks(name, description, pools, host, records, own)
    : { description, pool: [] };
  return { ...filled, publish: publish.map(({ value }) => value) };
}

function checkPort(
  { value, origin }: Located<PublishedPort>,
  records: ReadonlyMap<string, NamespaceRecord>,
): void {
  for (const [other, { publish }] of records)
    if (publish.some((port) => portsClash(port, value)))
      throw new CommandFailure(
        `${origin}: port ${value.hostPort}/${value.protocol} of the host already leads to ${other}`,
        EX_CANTCREAT,
      );
}

function takeNetworks(
  name: string,
  description: Description,
  pools: readonly Pool[],
  host: RtnetlinkSocket,
  records: ReadonlyMap<string, NamespaceRecord>,
  own: NamespaceRecord | undefined,
): { description: Description; pool: string[] } {
  const parse = (networks: readonly string[]) =>
    networks.map(tryParseIpPrefix).filter((network) => network !== undefined);
  const others = [...records.values()].flatMap(({ pool }) => parse(pool));
  const routes = hostRoutes(host);
  const taken = [...others, ...routes];
  const remembered = parse(own?.pool ?? []);
  const all: IpPrefix[][] = [];
  for (const link of description.links) {
    if (link.type !== "veth" || link.auto === undefined) continue;
    const networks: IpPrefix[] = [];
    for (const pool of pools) {
      const i = remembered.findIndex(
        ({ address }) => address.family === pool.network.address.family,
      );
      const [before] = i < 0 ? [] : remembered.splice(i, 1);
      const network = takeNetwork(pool, name, taken, before);
      if (network === undefined) throw noneFree(link.auto, pool, routes);
      taken.push(network);
      networks.push(network);
    }
    all.push(networks);
  }
  return { description: fillIn(description, all), pool: all.flat().map(formatPrefix) };
}

function noneFree(origin: string, { network }: Pool, routes: readonly IpPrefix[]): CommandFailure {
  const covering = routes.find(
    (route) => route.prefixLength <= network.prefixLength && overlaps(route, network),
  );
  const why =
    covering === undefined
      ? "all of it is taken"
      : `the host has a route to ${formatPrefix(covering)}`;
  const text = `${origin}: no network of the pool ${formatPrefix(network)} is free: ${why} (${CONFIG_FILE})`;
  return new CommandFailure(text, EX_CANTCREAT);
}

/** Returns all networks to which the host has a route, except the default routes. */
function hostRoutes(host: RtnetlinkSocket): IpPrefix[] {
  return [AF_INET, AF_INET6]
    .flatMap((family) => host.dump(getRoutes(family === AF_INET ? AF_INET : AF_INET6)))
    .map(parseRoute)
    .filter((route) => route !== undefined)
    .map(({ destination }) => destination)
    .filter(({ prefixLength }) => prefixLength > 0);
}

/** Reads the pools of the configuration. @throws CommandFailure if there are none */
export async function readPools(origin: string): Promise<Pool[]> {
  const hint = `${origin}: addresses = "auto" needs a [pool] in ${CONFIG_FILE}`;
  if (!existsSync(CONFIG_FILE)) throw new CommandFailure(hint, EX_CONFIG);
  const { parsePools } = await import("./pool-config.ts");
  const { DescriptionError } = await import("./mistakes.ts");
  try {
    const pools = parsePools(readRegularFile(CONFIG_FILE, MAX_TEXT_FILE).toString(), CONFIG_FILE);
    if (pools.length > 0) return pools;
  } catch (error) {
    if (error instanceof DescriptionError)
      throw new CommandFailure(error.message, EX_CONFIG, { cause: error });
    throw fileFailure(`cannot read ${CONFIG_FILE}`, error);
  }
  throw new CommandFailure(hint, EX_CONFIG);
}
