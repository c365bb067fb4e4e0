/**
 * The description of a namespace, NAME.toml. Pure. A module of its own, because the
 * TOML parser costs start-up time: it is loaded where there is such a file.
 */
import { ConfigError, parseToml, type TomlTable } from "@cm4all/command/toml";
import { formatIpAddress, tryParseIpAddress } from "@cm4all/linux";
import { readEnd } from "./describe-end.ts";
import { DescriptionError, Mistakes } from "./mistakes.ts";
import { INSIDE_LINK } from "./paths.ts";
import type { Description, Located } from "./plan.ts";

export { DescriptionError };

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
      mistakes.add(origin, `${formatIpAddress(value.address)} is the address of both ends`);
  if (mistakes.found.length > 0) throw new DescriptionError(mistakes.found);
  return { inside, outside, sysctl, resolvConf };
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
      mistakes.add(`${table.file}:${line}`, `${JSON.stringify(value)} is no address`);
    lines.push(`nameserver ${value}`);
  }
  if (servers.length > NAME_SERVERS_MAX)
    mistakes.found.push(table.error("servers", `at most ${NAME_SERVERS_MAX} are used`));
  for (const key of ["search", "options"]) {
    const words = mistakes.collect(() => table.strings(key)) ?? [];
    for (const { value, line } of words)
      if (!/^[^\s\p{Cc}]+$/u.test(value))
        mistakes.add(`${table.file}:${line}`, `${JSON.stringify(value)} is not one word`);
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
