/** The text of resolv.conf(5). Pure. */
import type { DnsDescription } from "./description.ts";

/** Returns the text. The caller has already replaced "auto" with the servers' addresses. */
export function makeResolvConf({ servers, lines }: DnsDescription): string {
  const list = servers === "auto" ? [] : servers;
  return [...list.map((server) => `nameserver ${server}`), ...lines]
    .map((line) => `${line}\n`)
    .join("");
}
