/**
 * Reads the description of a namespace, from NAME.toml or a template. Pure. This module is loaded
 * only if there is such a file, because the TOML parser adds to the start-up time.
 */
import { parseToml, type TomlTable } from "@cm4all/command/toml";
import { isServerAddress } from "./address-kind.ts";
import { readFirewall } from "./describe-firewall.ts";
import { readLinks } from "./describe-link.ts";
import type { Description, DnsDescription, Located } from "./description.ts";
import { DescriptionError, ifOfType, Mistakes } from "./mistakes.ts";

export { DescriptionError };

/**
 * Parses a description.
 * @param file the file name for messages
 * @throws DescriptionError
 */
export function parseDescription(text: string, file: string, namespace: string): Description {
  const mistakes = new Mistakes();
  const root = mistakes.collect(() => parseToml(text, file));
  if (root === undefined) throw new DescriptionError(mistakes.found);
  const table = (key: string) => mistakes.collect(() => root.table(key));
  const links = readLinks(root, namespace, mistakes);
  const sysctl = readSysctl(table("sysctl"), mistakes);
  const dns = readDns(table("dns"), mistakes);
  const firewall = readFirewall(table("firewall"), links, mistakes);
  mistakes.collect(() => root.finish());
  if (mistakes.found.length > 0) throw new DescriptionError(mistakes.found);
  return { links, sysctl, dns, firewall };
}

/**
 * Reads settings such as `"net.ipv4.ip_forward" = 1`. The quotes are optional: without them, the
 * key stands for nested tables in TOML.
 */
function readSysctl(table: TomlTable | undefined, mistakes: Mistakes) {
  const settings: Located<{ key: string; value: string }>[] = [];
  const read = (from: TomlTable, prefix: string) => {
    for (const key of from.keys()) {
      const name = prefix + key;
      const inner = ifOfType(() => from.table(key));
      if (inner !== undefined) {
        read(inner, `${name}.`);
        continue;
      }
      mistakes.collect(() => {
        const value = from.scalar(key);
        if (!/^net(\.[\w-][\w/-]*)+$/.test(name))
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

/** The number of servers that the resolver uses; it ignores further ones. @see resolv.conf(5) */
const NAME_SERVERS_MAX = 3;

function readDns(table: TomlTable | undefined, mistakes: Mistakes): DnsDescription | undefined {
  if (table === undefined) return undefined;
  const lines: string[] = [];
  const servers = readServers(table, mistakes);
  for (const key of ["search", "options"]) {
    const words = mistakes.collect(() => table.strings(key)) ?? [];
    for (const { value, line } of words)
      if (!/^[^\s\p{Cc}]+$/u.test(value))
        mistakes.add(`${table.file}:${line}`, `${JSON.stringify(value)} is not one word`);
    if (words.length > 0) lines.push(`${key} ${words.map(({ value }) => value).join(" ")}`);
  }
  mistakes.collect(() => table.finish());
  const line = table.keys().includes("servers") ? table.lineOf("servers") : table.line;
  return { servers, lines, origin: `${table.file}:${line}` };
}

function readServers(table: TomlTable, mistakes: Mistakes): "auto" | string[] {
  if (ifOfType(() => table.string("servers")) === "auto") return "auto";
  const servers = mistakes.collect(() => table.strings("servers")) ?? [];
  for (const { value, line } of servers)
    if (!isServerAddress(value))
      mistakes.add(`${table.file}:${line}`, `${JSON.stringify(value)} is not an address`);
  if (servers.length > NAME_SERVERS_MAX)
    mistakes.found.push(table.error("servers", `at most ${NAME_SERVERS_MAX} are used`));
  return servers.map(({ value }) => value);
}
