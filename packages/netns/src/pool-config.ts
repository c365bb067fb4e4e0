/** The configuration for all namespaces, netns.toml. Pure; loaded only if it is needed. */
import { parseToml, type TomlTable } from "@cm4all/command/toml";
import { AF_INET, tryParseIpPrefix } from "@cm4all/linux";
import { isNetwork } from "./address-kind.ts";
import { DescriptionError, Mistakes } from "./mistakes.ts";
import type { Pool } from "./pool.ts";

/** Parses the pools. @param file the name for messages @throws DescriptionError */
export function parsePools(text: string, file: string): Pool[] {
  const mistakes = new Mistakes();
  const root = mistakes.collect(() => parseToml(text, file));
  const table = root && mistakes.collect(() => root.table("pool"));
  const pools: Pool[] = [];
  if (table !== undefined) {
    for (const key of ["ipv4", "ipv6"] as const) {
      const pool = mistakes.collect(() => readPool(table, key));
      if (pool !== undefined) pools.push(pool);
    }
    mistakes.collect(() => table.finish());
  }
  if (root !== undefined) mistakes.collect(() => root.finish());
  if (mistakes.found.length > 0) throw new DescriptionError(mistakes.found);
  return pools;
}

/** The lengths of networks with room for two hosts: the default, and the longest. */
const lengths = { ipv4: [30, 31], ipv6: [126, 127] } as const;

function readPool(table: TomlTable, key: "ipv4" | "ipv6"): Pool | undefined {
  const lengthKey = `${key}_length`;
  const [usual, small] = lengths[key];
  const length = table.integer(lengthKey, { min: usual, max: small }) ?? usual;
  const text = table.string(key);
  if (text === undefined) return undefined;
  const network = tryParseIpPrefix(text);
  if (network === undefined || (network.address.family === AF_INET) !== (key === "ipv4"))
    throw table.error(
      key,
      `${JSON.stringify(text)} is not an ${key === "ipv4" ? "IPv4" : "IPv6"} network`,
    );
  if (!isNetwork(network)) throw table.error(key, `${text} has bits set after its prefix`);
  if (network.prefixLength > length)
    throw table.error(key, `${text} has no room for a network of length ${length}`);
  return { network, length };
}
