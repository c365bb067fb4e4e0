/** Finds out whether a resolver of the host listens on an address that a namespace can reach. */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

const DNS_PORT = 53;

/**
 * Returns the local addresses with that port in the text of /proc/net/udp or udp6, as hexadecimal
 * digits. Pure.
 */
export function addressesAtPort(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/)[1]?.split(":") ?? [])
    .filter(([, local]) => local === wanted)
    .map(([address = ""]) => address);
}

/**
 * Formats an address as /proc/net/udp does on amd64 and arm64: its bytes, which are in network
 * order, are read as 32-bit little-endian numbers. Pure.
 */
export function procNetAddress(bytes: Buffer): string {
  let text = "";
  for (let i = 0; i < bytes.length; i += 4)
    text += bytes.readUInt32LE(i).toString(16).toUpperCase().padStart(8, "0");
  return text;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    // The kernel has no IPv6.
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/**
 * Returns true if a process listens for DNS at `address` of this network namespace, or at all
 * addresses.
 */
export function resolverListensAt(address: Buffer): boolean {
  const anyIpv6 = procNetAddress(Buffer.alloc(16));
  const listening = new Set([
    ...addressesAtPort(read("/proc/self/net/udp"), DNS_PORT),
    ...addressesAtPort(read("/proc/self/net/udp6"), DNS_PORT),
  ]);
  // A socket for all IPv6 addresses accepts IPv4, too, unless it has IPV6_V6ONLY.
  return [procNetAddress(address), procNetAddress(Buffer.alloc(address.length)), anyIpv6].some(
    (one) => listening.has(one),
  );
}
