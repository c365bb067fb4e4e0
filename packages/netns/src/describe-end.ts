/** An end of a link in a description: its addresses, settings and VLANs. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import { AF_INET6, type IpPrefix, type LinkTuning, tryParseIpPrefix } from "@cm4all/linux";
import { addressProblem } from "./address-kind.ts";
import { readRoutes } from "./describe-routes.ts";
import type { EndDescription, Located, VlanDescription } from "./description.ts";
import type { Mistakes } from "./mistakes.ts";
import { nameProblem } from "./name.ts";

/** The smallest MTU with which IPv6 works. @see RFC 8200 */
const IPV6_MTU_MIN = 1280;

/**
 * Reads an end.
 * @param name the name of the link; a VLAN that has no name in the table is named after the link
 * @param auto true if the addresses come from the pool, so that none are to be read
 */
export function readEnd(
  table: TomlTable,
  name: string,
  mistakes: Mistakes,
  auto = false,
): EndDescription {
  const addresses = auto ? [] : readAddresses(table, mistakes);
  const mtuBytes = readMtu(table, addresses, mistakes);
  const mac = mistakes.collect(() => readMac(table));
  const up = mistakes.collect(() => table.boolean("up"));
  const tuning = readTuning(table, mistakes);
  const routes = readRoutes(table, addresses, mistakes, auto);
  const vlans = readVlans(table, name, mistakes);
  const [first] = [...routes, ...vlans.flatMap((vlan) => vlan.routes)];
  if (first !== undefined && up === false)
    mistakes.add(first.origin, "a route needs a link that is up");
  return { mtuBytes, mac, up, tuning, addresses, routes, vlans };
}

function readAddresses(table: TomlTable, mistakes: Mistakes): Located<IpPrefix>[] {
  const addresses: Located<IpPrefix>[] = [];
  for (const { value, line } of mistakes.collect(() => table.strings("addresses")) ?? []) {
    const origin = `${table.file}:${line}`;
    const prefix = tryParseIpPrefix(value);
    if (prefix === undefined) {
      mistakes.add(
        origin,
        `${JSON.stringify(value)} is not an address with a prefix length, such as "10.0.5.2/24" or "fd00::2/64"`,
      );
      continue;
    }
    const problem = addressProblem(prefix.address);
    if (problem !== undefined) mistakes.add(origin, `${value} is ${problem}`);
    else if (addresses.some((other) => other.value.address.bytes.equals(prefix.address.bytes)))
      mistakes.add(origin, `${value} is given twice`);
    else addresses.push({ value: prefix, origin });
  }
  return addresses;
}

function readMtu(
  table: TomlTable,
  addresses: readonly Located<IpPrefix>[],
  mistakes: Mistakes,
): number | undefined {
  const mtuBytes = mistakes.collect(() => table.integer("mtu", { min: 68, max: 65535 }));
  const ipv6 = addresses.some(({ value }) => value.address.family === AF_INET6);
  if (ipv6 && mtuBytes !== undefined && mtuBytes < IPV6_MTU_MIN)
    mistakes.found.push(table.error("mtu", `IPv6 needs at least ${IPV6_MTU_MIN}`));
  return mtuBytes;
}

function readMac(table: TomlTable): Buffer | undefined {
  const text = table.string("mac");
  if (text === undefined) return undefined;
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text))
    throw table.error(
      "mac",
      `${JSON.stringify(text)} is not a hardware address, such as "02:00:00:00:05:02"`,
    );
  const bytes = Buffer.from(text.replaceAll(":", ""), "hex");
  if (((bytes[0] ?? 0) & 1) !== 0) throw table.error("mac", `${text} is a multicast address`);
  if (bytes.every((byte) => byte === 0)) throw table.error("mac", `${text} is all zeros`);
  return bytes;
}

/**
 * The keys of a link's tuning, with the ranges that the kernel accepts. plan-text.ts has the names
 * that ip-link(8) uses for them.
 */
const tuningKeys: readonly [string, keyof LinkTuning, { min: number; max: number }][] = [
  ["tx_queue_length", "txQueueLength", { min: 0, max: 0x7fffffff }],
  ["tx_queues", "txQueues", { min: 1, max: 4096 }],
  ["rx_queues", "rxQueues", { min: 1, max: 4096 }],
  ["gso_max_bytes", "gsoMaxBytes", { min: 0, max: 524_280 }],
  ["gso_max_segments", "gsoMaxSegments", { min: 1, max: 65_535 }],
  ["gro_max_bytes", "groMaxBytes", { min: 0, max: 524_280 }],
];

function readTuning(table: TomlTable, mistakes: Mistakes): LinkTuning | undefined {
  const tuning: Partial<Record<keyof LinkTuning, number>> = {};
  for (const [key, field, range] of tuningKeys) {
    const value = mistakes.collect(() => table.integer(key, range));
    if (value !== undefined) tuning[field] = value;
  }
  return Object.keys(tuning).length === 0 ? undefined : tuning;
}

function readVlans(table: TomlTable, name: string, mistakes: Mistakes): VlanDescription[] {
  const vlans: VlanDescription[] = [];
  for (const entry of mistakes.collect(() => table.tables("vlans")) ?? []) {
    const vlan = mistakes.collect(() => readVlan(entry, name, mistakes));
    if (vlan === undefined) continue;
    if (vlans.some((other) => other.id === vlan.id || other.name === vlan.name))
      mistakes.add(vlan.origin, `VLAN ${vlan.id}, or its name, is given twice`);
    vlans.push(vlan);
  }
  return vlans;
}

function readVlan(table: TomlTable, below: string, mistakes: Mistakes): VlanDescription {
  const id = readVlanId(table, "id");
  if (id === undefined) throw table.error("id", "is missing");
  const name = readLinkName(table, "name") ?? `${below}.${id}`;
  const problem = nameProblem(name);
  if (problem !== undefined) throw table.error("name", `${JSON.stringify(name)}: ${problem}`);
  const addresses = readAddresses(table, mistakes);
  const mtuBytes = readMtu(table, addresses, mistakes);
  const routes = readRoutes(table, addresses, mistakes);
  table.finish();
  return { id, name, mtuBytes, addresses, routes, origin: `${table.file}:${table.line}` };
}

/** Reads the id of a VLAN. 0 and 4095 are reserved. @see IEEE 802.1Q */
export function readVlanId(table: TomlTable, key: string): number | undefined {
  return table.integer(key, { min: 1, max: 4094 });
}

/** Reads the name of a link. @throws ConfigError */
export function readLinkName(table: TomlTable, key: string): string | undefined {
  const name = table.string(key);
  const problem = name === undefined ? undefined : nameProblem(name);
  if (problem !== undefined) throw table.error(key, `${JSON.stringify(name)}: ${problem}`);
  return name;
}
