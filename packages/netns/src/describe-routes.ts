/** The routes of an end in a description. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import {
  AF_INET,
  AF_INET6,
  formatIpAddress,
  type IpPrefix,
  prefixContains,
  type Route,
  tryParseIpAddress,
  tryParseIpPrefix,
} from "@cm4all/linux";
import { addressProblem, isBroadcastOf, isNetwork, networkOf } from "./address-kind.ts";
import type { Located } from "./description.ts";
import type { Mistakes } from "./mistakes.ts";

/**
 * Reads `routes` and `gateway`. Returns the routes in an order in which the kernel accepts
 * them.
 * @param auto true if the networks of the addresses are not known yet
 */
export function readRoutes(
  table: TomlTable,
  addresses: readonly Located<IpPrefix>[],
  mistakes: Mistakes,
  auto = false,
): Located<Route>[] {
  const routes: Located<Route>[] = [];
  for (const entry of mistakes.collect(() => table.tables("routes")) ?? []) {
    const route = mistakes.collect(() => readRoute(entry));
    if (route !== undefined) routes.push({ value: route, origin: `${table.file}:${entry.line}` });
  }
  routes.push(...readGateways(table, mistakes));
  findEqualRoutes(routes, addresses, mistakes);
  if (!auto) findFarGateways(routes, addresses, mistakes);
  // The kernel accepts a route only if its gateway can already be reached.
  const onLink = routes.filter(({ value }) => value.gateway === undefined);
  return [...onLink, ...routes.filter(({ value }) => value.gateway !== undefined)];
}

function readRoute(table: TomlTable): Route {
  const to = table.string("to");
  if (to === undefined) throw table.error("to", "is missing");
  const destination = tryParseIpPrefix(to);
  if (destination === undefined)
    throw table.error("to", `${JSON.stringify(to)} is not a network, such as "10.9.0.0/16"`);
  if (!isNetwork(destination))
    throw table.error("to", `${to} has bits set after its prefix: it is a host in the network`);
  const via = table.string("via");
  const gateway = via === undefined ? undefined : tryParseIpAddress(via);
  if (via !== undefined && gateway === undefined)
    throw table.error("via", `${JSON.stringify(via)} is not an address`);
  if (gateway !== undefined && gateway.family !== destination.address.family)
    throw table.error("via", `${via} is not of the same family as ${to}`);
  const metric = table.integer("metric", { min: 0, max: 0xffffffff });
  const onlink = table.boolean("onlink");
  if (onlink === true && gateway === undefined)
    throw table.error("onlink", "is about the gateway, but there is no via");
  table.finish();
  return { destination, gateway, metric, onlink };
}

/** Reads the default routes: at most one of each family. */
function readGateways(table: TomlTable, mistakes: Mistakes): Located<Route>[] {
  const routes: Located<Route>[] = [];
  for (const { value, line } of mistakes.collect(() => table.stringOrStrings("gateway")) ?? []) {
    const origin = `${table.file}:${line}`;
    const gateway = tryParseIpAddress(value);
    if (gateway === undefined) {
      mistakes.add(origin, `${JSON.stringify(value)} is not an address`);
      continue;
    }
    if (routes.some((route) => route.value.gateway?.family === gateway.family)) {
      mistakes.add(origin, `${value} is the second gateway of its family`);
      continue;
    }
    const any = { family: gateway.family, bytes: Buffer.alloc(gateway.bytes.length) };
    routes.push({ value: { destination: { address: any, prefixLength: 0 }, gateway }, origin });
  }
  return routes;
}

/** The kernel's metric for an IPv6 route without a metric, or with metric 0. @see ip-route(8) */
const IPV6_DEFAULT_METRIC = 1024;
/** The metric of the routes that the kernel itself adds for IPv6 addresses. */
const IPV6_ADDRESS_METRIC = 256;

function metricOf({ destination, metric = 0 }: Route): number {
  return metric === 0 && destination.address.family === AF_INET6 ? IPV6_DEFAULT_METRIC : metric;
}

const show = ({ address, prefixLength }: IpPrefix): string =>
  `${formatIpAddress(address)}/${prefixLength}`;

/**
 * Adds a mistake for each route that has the network and the metric of a previous route, or of a
 * route that the kernel adds for an address: the kernel would refuse it.
 */
function findEqualRoutes(
  routes: readonly Located<Route>[],
  addresses: readonly Located<IpPrefix>[],
  mistakes: Mistakes,
): void {
  const own = new Map<string, string>();
  const linkLocal = tryParseIpPrefix("fe80::/64");
  if (linkLocal !== undefined) own.set(`${show(linkLocal)} ${IPV6_ADDRESS_METRIC}`, "fe80::/64");
  for (const { value } of addresses) {
    const { address, prefixLength } = value;
    // For a /32, the kernel adds no route. For a /128, it adds one, but finding an equal route is
    // left to the kernel.
    if (prefixLength === address.bytes.length * 8) continue;
    const metric = address.family === AF_INET ? 0 : IPV6_ADDRESS_METRIC;
    own.set(`${show(networkOf(value))} ${metric}`, show(value));
  }
  const seen = new Set<string>();
  for (const { value, origin } of routes) {
    const key = `${show(value.destination)} ${metricOf(value)}`;
    const address = own.get(key);
    if (address !== undefined)
      mistakes.add(origin, `the network of ${address} has this route already`);
    else if (seen.has(key))
      mistakes.add(origin, `this is the second route to ${show(value.destination)}`);
    seen.add(key);
  }
}

/** Adds a mistake for each gateway that the kernel could not reach from this end. */
function findFarGateways(
  routes: readonly Located<Route>[],
  addresses: readonly Located<IpPrefix>[],
  mistakes: Mistakes,
): void {
  const networks = addresses.map(({ value }) => value);
  const near = [
    ...networks,
    ...routes
      .map(({ value }) => value)
      .filter(({ gateway }) => gateway === undefined)
      .map(({ destination }) => destination),
    // Link-local addresses can be reached on every link that is up.
    tryParseIpPrefix("fe80::/10"),
  ].filter((network) => network !== undefined);
  for (const { value, origin } of routes) {
    const { gateway, onlink } = value;
    if (gateway === undefined) continue;
    const text = formatIpAddress(gateway);
    const problem = addressProblem(gateway);
    if (problem !== undefined) mistakes.add(origin, `the gateway ${text} is ${problem}`);
    else if (networks.some(({ address }) => address.bytes.equals(gateway.bytes)))
      mistakes.add(origin, `the gateway ${text} is the address of this end itself`);
    else if (networks.some((network) => isBroadcastOf(network, gateway)))
      mistakes.add(origin, `the gateway ${text} is the broadcast address of its network`);
    else if (onlink !== true && !near.some((network) => prefixContains(network, gateway)))
      mistakes.add(
        origin,
        `the gateway ${text} is in none of the networks of this end's addresses; a route to ` +
          `${text}/${gateway.bytes.length * 8} without via, or onlink = true, says that it is on the link`,
      );
  }
}
