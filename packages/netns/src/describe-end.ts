/** One end of the pair in a description: its addresses, routes and settings. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import {
  AF_INET6,
  formatIpAddress,
  type IpPrefix,
  prefixContains,
  type Route,
  tryParseIpAddress,
  tryParseIpPrefix,
} from "@cm4all/linux";
import type { Mistakes } from "./mistakes.ts";
import type { EndDescription, Located } from "./plan.ts";

export function readEnd(table: TomlTable | undefined, mistakes: Mistakes): EndDescription {
  if (table === undefined) return { addresses: [], routes: [] };
  const at = (line: number) => `${table.file}:${line}`;
  const addresses: Located<IpPrefix>[] = [];
  for (const { value, line } of mistakes.collect(() => table.strings("addresses")) ?? []) {
    const prefix = tryParseIpPrefix(value);
    if (prefix === undefined)
      mistakes.add(
        at(line),
        `${JSON.stringify(value)} is no address with its prefix's length, such as "10.0.5.2/24" or "fd00::2/64"`,
      );
    else if (addresses.some((other) => other.value.address.bytes.equals(prefix.address.bytes)))
      mistakes.add(at(line), `${value} is there twice`);
    else addresses.push({ value: prefix, origin: at(line) });
  }
  const mtuBytes = mistakes.collect(() => table.integer("mtu", { min: 68, max: 65535 }));
  const mac = mistakes.collect(() => readMac(table));
  const up = mistakes.collect(() => table.boolean("up"));
  const routes = [...readRoutes(table, mistakes), ...readGateways(table, mistakes)];
  mistakes.collect(() => table.finish());

  const ipv6 = addresses.find(({ value }) => value.address.family === AF_INET6);
  if (ipv6 !== undefined && mtuBytes !== undefined && mtuBytes < 1280)
    mistakes.found.push(table.error("mtu", "IPv6 needs at least 1280"));
  const [first] = routes;
  if (first !== undefined && up === false)
    mistakes.add(first.origin, "a route needs a link that is up");
  return { mtuBytes, mac, up, addresses, routes: orderRoutes(routes, addresses, mistakes) };
}

function readMac(table: TomlTable): Buffer | undefined {
  const text = table.string("mac");
  if (text === undefined) return undefined;
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw table.error("mac", `${JSON.stringify(text)} is none, such as "02:00:00:00:05:02"`);
  const bytes = Buffer.from(text.replaceAll(":", ""), "hex");
  if (((bytes[0] ?? 0) & 1) !== 0) throw table.error("mac", `${text} is a multicast address`);
  if (bytes.every((byte) => byte === 0)) throw table.error("mac", "it consists of zeros");
  return bytes;
}

function readRoutes(table: TomlTable, mistakes: Mistakes): Located<Route>[] {
  const routes: Located<Route>[] = [];
  for (const entry of mistakes.collect(() => table.tables("routes")) ?? []) {
    const route = mistakes.collect(() => readRoute(entry));
    if (route !== undefined) routes.push({ value: route, origin: `${table.file}:${entry.line}` });
  }
  return routes;
}

function readRoute(table: TomlTable): Route {
  const to = table.string("to");
  if (to === undefined) throw table.error("to", "is missing");
  const destination = tryParseIpPrefix(to);
  if (destination === undefined)
    throw table.error("to", `${JSON.stringify(to)} is no network, such as "10.9.0.0/16"`);
  if (!hostBitsAreZero(destination))
    throw table.error("to", `${to} has bits behind its prefix: it is a host in the network`);
  const via = table.string("via");
  const gateway = via === undefined ? undefined : tryParseIpAddress(via);
  if (via !== undefined && gateway === undefined)
    throw table.error("via", `${JSON.stringify(via)} is no address`);
  if (gateway !== undefined && gateway.family !== destination.address.family)
    throw table.error("via", `${via} is of another family than ${to}`);
  const metric = table.integer("metric", { min: 0, max: 0xffffffff });
  table.finish();
  return { destination, gateway, metric };
}

function hostBitsAreZero({ address, prefixLength }: IpPrefix): boolean {
  return address.bytes.every((byte, i) => {
    const networkBits = Math.min(8, Math.max(0, prefixLength - i * 8));
    return (byte & (0xff >> networkBits)) === 0;
  });
}

/** Default routes: at most one of each family. */
function readGateways(table: TomlTable, mistakes: Mistakes): Located<Route>[] {
  const routes: Located<Route>[] = [];
  for (const { value, line } of mistakes.collect(() => table.stringOrStrings("gateway")) ?? []) {
    const origin = `${table.file}:${line}`;
    const gateway = tryParseIpAddress(value);
    if (gateway === undefined) {
      mistakes.add(origin, `${JSON.stringify(value)} is no address`);
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

/**
 * The kernel takes a gateway only where it can reach it: routes on the link come
 * first, and a gateway has to be in one of their networks or in that of an address.
 */
function orderRoutes(
  routes: readonly Located<Route>[],
  addresses: readonly Located<IpPrefix>[],
  mistakes: Mistakes,
): Located<Route>[] {
  const onLink = routes.filter(({ value }) => value.gateway === undefined);
  const others = routes.filter(({ value }) => value.gateway !== undefined);
  const seen = new Set<string>();
  for (const { value, origin } of routes) {
    const { address, prefixLength } = value.destination;
    const key = `${formatIpAddress(address)}/${prefixLength}`;
    // Two routes of one metric, of which the kernel refuses the second.
    if (seen.has(`${key} ${value.metric}`)) mistakes.add(origin, `the second route to ${key}`);
    seen.add(`${key} ${value.metric}`);
  }
  const near = [
    ...addresses.map(({ value }) => value),
    ...onLink.map(({ value }) => value.destination),
    // Link-local addresses are in reach of every link that is up.
    tryParseIpPrefix("fe80::/10"),
  ].filter((network) => network !== undefined);
  for (const { value, origin } of others) {
    const { gateway } = value;
    if (gateway !== undefined && !near.some((network) => prefixContains(network, gateway)))
      mistakes.add(
        origin,
        `the gateway ${formatIpAddress(gateway)} is in none of the networks of addresses`,
      );
  }
  return [...onLink, ...others];
}
