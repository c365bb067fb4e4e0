/** Whether a resolver of the host listens where a namespace can reach it. */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

const DNS_PORT = 53;

/** The local addresses of /proc/net/udp or udp6 at that port, as hexadecimal digits. Pure. */
export function addressesAtPort(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, "0");
  return table
    .split("\n")
    .slice(1)
    .map((line) => line.trim().split(/\s+/)[1]?.split(":") ?? [])
    .filter(([, local]) => local === wanted)
    .map(([address = ""]) => address);
}

/** An address of network order as those files have it: 32-bit numbers of this machine. Pure. */
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
    // A kernel without IPv6.
    if (isErrno(error, "ENOENT")) return "";
    throw error;
  }
}

/** Whether something listens for DNS at `address` of this network namespace, or at all. */
export function resolverListensAt(address: Buffer): boolean {
  const anyIpv6 = procNetAddress(Buffer.alloc(16));
  const listening = new Set([
    ...addressesAtPort(read("/proc/self/net/udp"), DNS_PORT),
    ...addressesAtPort(read("/proc/self/net/udp6"), DNS_PORT),
  ]);
  // A socket of all IPv6 addresses takes IPv4, too, unless it is told not to.
  return [procNetAddress(address), procNetAddress(Buffer.alloc(address.length)), anyIpv6].some(
    (one) => listening.has(one),
  );
}
