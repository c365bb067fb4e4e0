/**
 * Parses an address: `/run/x.sock`, `127.0.0.1:10469` or `[::1]:10469`; undefined for anything
 * else. Pure.
 */
export function parseListenAddress(
  text: string,
): { path: string } | { host: string; port: number } | undefined {
  if (text.startsWith("/")) return { path: text };
  const [, bracketed, plain, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:]+)):(\d+)$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  return host === undefined || port > 65_535 ? undefined : { host, port };
}
