/** The text of resolv.conf(5). Pure. */
import type { DnsDescription } from "./description.ts";

/** Returns the text. Servers that are "auto" have to be replaced by addresses before. */
export function makeResolvConf({ servers, lines }: DnsDescription): string {
  const list = servers === "auto" ? [] : servers;
  return [...list.map((server) => `nameserver ${server}`), ...lines]
    .map((line) => `${line}\n`)
    .join("");
}
