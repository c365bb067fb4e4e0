/** The keys `masquerade`, `publish` and `uplinks` of the host's end in a description. Pure. */
import type { TomlTable } from "@cm4all/command/toml";
import type { EndDescription, Located, PublishedPort } from "./description.ts";
import { ifOfType, type Mistakes } from "./mistakes.ts";
import { nameProblem } from "./name.ts";
import { parsePublished, portsClash } from "./ports.ts";

type Family = "ipv4" | "ipv6";

/**
 * Reads `masquerade`. The value true stands for the families of the addresses inside.
 * @param auto true if those addresses come from the pool, so that their families are not known yet
 */
export function readMasquerade(
  table: TomlTable,
  inside: EndDescription,
  auto: boolean,
  mistakes: Mistakes,
): Located<readonly Family[]> | undefined {
  if (!table.keys().includes("masquerade")) return undefined;
  const origin = `${table.file}:${table.lineOf("masquerade")}`;
  const family = ifOfType(() => table.string("masquerade"));
  if (family !== undefined) {
    if (family === "ipv4" || family === "ipv6") return { value: [family], origin };
    mistakes.found.push(table.error("masquerade", 'expected true, false, "ipv4" or "ipv6"'));
    return undefined;
  }
  if (mistakes.collect(() => table.boolean("masquerade")) !== true) return undefined;
  const families = new Set<Family>();
  for (const { value } of inside.addresses)
    families.add(value.address.bytes.length === 4 ? "ipv4" : "ipv6");
  if (auto) return { value: ["ipv4", "ipv6"], origin };
  if (families.size === 0)
    mistakes.add(
      origin,
      'true stands for the families of the addresses inside, but there are none: say "ipv4" or "ipv6"',
    );
  return { value: [...families].sort(), origin };
}

/** Reads the list `publish` of a link; returns the ports that have no mistake. */
export function readPublish(table: TomlTable, mistakes: Mistakes): Located<PublishedPort>[] {
  const ports: Located<PublishedPort>[] = [];
  for (const { value, line } of mistakes.collect(() => table.strings("publish")) ?? []) {
    const origin = `${table.file}:${line}`;
    const port = parsePublished(value);
    if (port === undefined)
      mistakes.add(
        origin,
        `expected a port of the host and a port inside, such as "8080:80/tcp" or "192.0.2.1:53:53/udp", not ${JSON.stringify(value)}`,
      );
    else if (ports.some((other) => portsClash(other.value, port)))
      mistakes.add(origin, `port ${port.hostPort}/${port.protocol} of the host is given twice`);
    else ports.push({ value: port, origin });
  }
  return ports;
}

/**
 * Reads `uplinks`, the links of the host through which packets of the namespace leave and answers
 * arrive.
 */
export function readUplinks(table: TomlTable, mistakes: Mistakes): Located<string>[] | undefined {
  const names = mistakes.collect(() => table.stringOrStrings("uplinks"));
  for (const { value, line } of names ?? []) {
    const problem = nameProblem(value);
    if (problem !== undefined)
      mistakes.add(`${table.file}:${line}`, `${JSON.stringify(value)}: ${problem}`);
  }
  return names?.map(({ value, line }) => ({ value, origin: `${table.file}:${line}` }));
}
