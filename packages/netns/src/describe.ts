/**
 * The description of a namespace, NAME.toml. Pure. A module of its own, because the
 * TOML parser costs start-up time: it is loaded where there is such a file.
 */

import { ConfigError, parseToml, type TomlTable } from "@cm4all/command/toml";
import {
  AF_INET6,
  formatIpAddress,
  type IpAddress,
  type IpPrefix,
  prefixContains,
  type Route,
  tryParseIpAddress,
  tryParseIpPrefix,
} from "@cm4all/linux";
import { INSIDE_LINK } from "./paths.ts";
import type { Description, EndDescription, Located } from "./plan.ts";

/** Mistakes in a description, one a line, each starting with `FILE:LINE: `. */
export class DescriptionError extends Error {
  override readonly name = "DescriptionError";

  constructor(mistakes: readonly ConfigError[]) {
    const sorted = [...mistakes].sort((a, b) => a.line - b.line);
    super(sorted.map((mistake) => mistake.message).join("\n"));
  }
}

/** Collects what is wrong, so that one look at the messages is enough to mend all of it. */
class Mistakes {
  readonly found: ConfigError[] = [];

  /** Gives undefined where `read` finds a mistake. */
  collect<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      this.found.push(error);
      return undefined;
    }
  }
}

/**
 * @param file the name that messages show
 * @throws DescriptionError
 */
export function parseDescription(text: string, file: string): Description {
  const mistakes = new Mistakes();
  const root = mistakes.collect(() => parseToml(text, file));
  if (root === undefined) throw new DescriptionError(mistakes.found);
  const table = (key: string) => mistakes.collect(() => root.table(key));
  const inside = readEnd(table("inside"), mistakes);
  const outside = readEnd(table("outside"), mistakes);
  const sysctl = readSysctl(table("sysctl"), mistakes);
  const resolvConf = readDns(table("dns"), mistakes);
  mistakes.collect(() => root.finish());
  for (const { value, origin } of outside.addresses)
    if (inside.addresses.some((other) => other.value.address.bytes.equals(value.address.bytes)))
      mistakes.found.push(
        mistakeAt(origin, `${formatIpAddress(value.address)} is the address of both ends`),
      );
  if (mistakes.found.length > 0) throw new DescriptionError(mistakes.found);
  return { inside, outside, sysctl, resolvConf };
}

function mistakeAt(origin: string, problem: string): ConfigError {
  const colon = origin.lastIndexOf(":");
  return new ConfigError(origin.slice(0, colon), Number(origin.slice(colon + 1)), problem);
}

function readEnd(table: TomlTable | undefined, mistakes: Mistakes): EndDescription {
  if (table === undefined) return { addresses: [], routes: [] };
  const at = (line: number) => `${table.file}:${line}`;
  const addresses: Located<IpPrefix>[] = [];
  for (const { value, line } of mistakes.collect(() => table.strings("addresses")) ?? []) {
    const prefix = tryParseIpPrefix(value);
    if (prefix === undefined)
      mistakes.found.push(
        mistakeAt(
          at(line),
          `${JSON.stringify(value)} is no address with its prefix's length, such as "10.0.5.2/24" or "fd00::2/64"`,
        ),
      );
    else if (addresses.some((other) => other.value.address.bytes.equals(prefix.address.bytes)))
      mistakes.found.push(mistakeAt(at(line), `${value} is there twice`));
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
    mistakes.found.push(mistakeAt(first.origin, "a route needs a link that is up"));
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
  const zero: IpAddress = { family: address.family, bytes: Buffer.alloc(address.bytes.length) };
  return address.bytes.every((byte, i) => {
    const networkBits = Math.min(8, Math.max(0, prefixLength - i * 8));
    return (byte & (0xff >> networkBits)) === zero.bytes[i];
  });
}

/** Default routes: at most one of each family. */
function readGateways(table: TomlTable, mistakes: Mistakes): Located<Route>[] {
  const routes: Located<Route>[] = [];
  for (const { value, line } of mistakes.collect(() => table.stringOrStrings("gateway")) ?? []) {
    const origin = `${table.file}:${line}`;
    const gateway = tryParseIpAddress(value);
    if (gateway === undefined) {
      mistakes.found.push(mistakeAt(origin, `${JSON.stringify(value)} is no address`));
      continue;
    }
    if (routes.some((route) => route.value.gateway?.family === gateway.family)) {
      mistakes.found.push(mistakeAt(origin, `${value} is the second gateway of its family`));
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
  const near = [
    ...addresses.map(({ value }) => value),
    ...onLink.map(({ value }) => value.destination),
    // Link-local addresses are in reach of every link that is up.
    tryParseIpPrefix("fe80::/10"),
  ].filter((network) => network !== undefined);
  for (const { value, origin } of others) {
    const { gateway } = value;
    if (gateway !== undefined && !near.some((network) => prefixContains(network, gateway)))
      mistakes.found.push(
        mistakeAt(
          origin,
          `the gateway ${formatIpAddress(gateway)} is in none of the networks of addresses`,
        ),
      );
  }
  return [...onLink, ...others];
}

/** `"net.ipv4.ip_forward" = 1`, and the same without quotes, which TOML makes into tables. */
function readSysctl(table: TomlTable | undefined, mistakes: Mistakes) {
  const settings: Located<{ key: string; value: string }>[] = [];
  const read = (from: TomlTable, prefix: string) => {
    for (const key of from.keys()) {
      const name = prefix + key;
      const inner = tryTable(from, key);
      if (inner !== undefined) {
        read(inner, `${name}.`);
        continue;
      }
      mistakes.collect(() => {
        const value = from.scalar(key);
        if (!/^net(\.[\w-]+)+$/.test(name))
          throw from.error(
            key,
            `not a setting of a network namespace, such as "net.ipv4.ip_forward"`,
          );
        settings.push({
          value: { key: name, value: String(value) },
          origin: `${from.file}:${from.lineOf(key)}`,
        });
      });
    }
  };
  if (table !== undefined) read(table, "");
  return settings;
}

function tryTable(table: TomlTable, key: string): TomlTable | undefined {
  try {
    return table.table(key);
  } catch (error) {
    if (error instanceof ConfigError) return undefined;
    throw error;
  }
}

/** More are ignored by resolv.conf(5). */
const NAME_SERVERS_MAX = 3;

function readDns(table: TomlTable | undefined, mistakes: Mistakes): Located<string> | undefined {
  if (table === undefined) return undefined;
  const lines: string[] = [];
  const servers = mistakes.collect(() => table.strings("servers")) ?? [];
  for (const { value, line } of servers) {
    const [address = "", zone] = value.split("%");
    if (tryParseIpAddress(address) === undefined || zone === "")
      mistakes.found.push(
        mistakeAt(`${table.file}:${line}`, `${JSON.stringify(value)} is no address`),
      );
    lines.push(`nameserver ${value}`);
  }
  if (servers.length > NAME_SERVERS_MAX)
    mistakes.found.push(table.error("servers", `at most ${NAME_SERVERS_MAX} are used`));
  for (const key of ["search", "options"]) {
    const words = mistakes.collect(() => table.strings(key)) ?? [];
    for (const { value, line } of words)
      if (!/^[^\s\p{Cc}]+$/u.test(value))
        mistakes.found.push(
          mistakeAt(`${table.file}:${line}`, `${JSON.stringify(value)} is not one word`),
        );
    if (words.length > 0) lines.push(`${key} ${words.map(({ value }) => value).join(" ")}`);
  }
  mistakes.collect(() => table.finish());
  return { value: `${lines.join("\n")}\n`, origin: `${table.file}:${table.line}` };
}

/**
 * Where a sysctl setting is in the host's own /proc/sys, to see whether there is such
 * a setting; those of our link are there only inside the namespace.
 */
export function hostSysctlPath(key: string): string {
  const parts = key.split(".").map((part) => (part === INSIDE_LINK ? "default" : part));
  return `/proc/sys/${parts.join("/")}`;
}
