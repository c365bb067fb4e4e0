/**
 * Addresses of sockets: as the text that scripts write, and as the structure that the kernel
 * takes.
 */
import { readFileSync } from "node:fs";
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  encodeUnixAddress,
  errorText,
  formatIpAddress,
  tryParseIpAddress,
} from "@cm4all/linux";

/** An address as it was written, before names are resolved. */
export type ParsedAddress =
  | { kind: "unix"; path: string }
  | { kind: "host"; host: string; port: string | undefined; scope: string | undefined };

/** A resolved address. */
export interface SocketAddress {
  readonly domain: number;
  /** `struct sockaddr` */
  readonly bytes: Buffer;
  readonly text: string;
}

/** Thrown if a string is not an address, or if its name cannot be resolved. */
export class AddressError extends Error {
  override name = "AddressError";
}

/** Parses an address as scripts write it; resolves nothing. @throws AddressError */
export function parseAddress(text: string): ParsedAddress {
  if (text.startsWith("/") || text.startsWith("@")) return { kind: "unix", path: text };
  const match =
    /^\[([^\]%]*)(?:%([^\]]+))?\]/.exec(text) ??
    // A string with two colons is an IPv6 address, which cannot have a port without brackets.
    /^([0-9a-fA-F]*:[0-9a-fA-F]*:[0-9a-fA-F:]*)(?:%([0-9a-zA-Z._-]+))?/.exec(text) ??
    /^([0-9a-zA-Z.*-]*)/.exec(text);
  const host = match?.[1] ?? "";
  if (host === "") throw new AddressError("Failed to extract host name");
  if (host.length > 255) throw new AddressError("Host name too long");
  const rest = text.slice(match?.[0].length);
  if (rest !== "" && !rest.startsWith(":")) throw new AddressError("Garbage after host name");
  return {
    kind: "host",
    host,
    port: rest === "" ? undefined : rest.slice(1),
    scope: match?.[2],
  };
}

/** Returns an address that needs no resolver; undefined for a host name. @throws AddressError */
export function numericAddress(
  parsed: ParsedAddress,
  defaultPort: number,
): SocketAddress | undefined {
  if (parsed.kind === "unix") return unixAddress(parsed.path);
  const host = parsed.host === "*" ? "::1" : parsed.host;
  return ipAddress(host, portNumber(parsed.port, defaultPort), scopeId(parsed.scope));
}

function unixAddress(path: string): SocketAddress {
  try {
    const bytes = encodeUnixAddress(Buffer.from(path, "latin1"));
    return { domain: AF_UNIX, bytes, text: path };
  } catch (error) {
    throw new AddressError(errorText(error));
  }
}

/** Returns the socket address of a numeric `host`; undefined if `host` is a name. */
export function ipAddress(host: string, port: number, scope = 0): SocketAddress | undefined {
  const address = tryParseIpAddress(host);
  if (address === undefined) return undefined;
  const bytes = Buffer.alloc(address.family === AF_INET ? 16 : 28);
  bytes.writeUInt16LE(address.family, 0);
  bytes.writeUInt16BE(port & 0xffff, 2);
  if (address.family === AF_INET) {
    address.bytes.copy(bytes, 4);
  } else {
    address.bytes.copy(bytes, 8);
    bytes.writeUInt32LE(scope, 24);
  }
  return { domain: address.family, bytes, text: ipText(address.family, bytes) };
}

const MAPPED = Buffer.from("00000000000000000000ffff", "hex");

function ipText(family: number, bytes: Buffer): string {
  const port = bytes.readUInt16BE(2);
  const suffix = port === 0 ? "" : `:${port}`;
  if (family === AF_INET)
    return `${formatIpAddress({ family: AF_INET, bytes: bytes.subarray(4, 8) })}${suffix}`;
  const ip = bytes.subarray(8, 24);
  if (ip.subarray(0, 12).equals(MAPPED))
    return `${formatIpAddress({ family: AF_INET, bytes: ip.subarray(12) })}${suffix}`;
  const scope = bytes.readUInt32LE(24);
  const text = `${formatIpAddress({ family: AF_INET6, bytes: ip })}${scope === 0 ? "" : `%${interfaceName(scope)}`}`;
  return port === 0 ? text : `[${text}]${suffix}`;
}

/**
 * Returns the number of a port that is given as a number or by its name in services(5).
 * @throws AddressError if the name is unknown
 */
export function portNumber(text: string | undefined, defaultPort: number): number {
  if (text === undefined) return defaultPort;
  if (/^\d*$/.test(text)) return Number(text) & 0xffff;
  const port = findService(readServices(), text);
  if (port === undefined)
    throw new AddressError(
      `Failed to resolve port "${text}": Servname not supported for ai_socktype`,
    );
  return port;
}

function readServices(): string {
  try {
    return readFileSync("/etc/services", "utf8");
  } catch {
    // A small system may not have the file.
    return "";
  }
}

/**
 * Returns the port in the first line that lists a service, whatever its protocol; undefined if
 * there is none. The lines are `name port/protocol aliases...`. Pure.
 */
export function findService(services: string, name: string): number | undefined {
  for (const line of services.split("\n")) {
    const [first, port = "", ...aliases] = line.replace(/#.*/, "").trim().split(/\s+/);
    if (first === name || aliases.includes(name)) return Number.parseInt(port, 10);
  }
  return undefined;
}

function scopeId(scope: string | undefined): number {
  if (scope === undefined) return 0;
  if (/^\d+$/.test(scope)) return Number(scope);
  try {
    if (scope.includes("/")) throw new Error("not the name of an interface");
    return Number(readFileSync(`/sys/class/net/${scope}/ifindex`, "utf8"));
  } catch {
    throw new AddressError(`No such interface: ${scope}`);
  }
}

function interfaceName(index: number): string {
  for (const line of readInterfaces()) if (line.index === index) return line.name;
  return String(index);
}

/** Returns the interfaces that have an IPv6 address. @see netdevice(7) on /proc/net/if_inet6 */
function readInterfaces(): { name: string; index: number }[] {
  return readFileSync("/proc/net/if_inet6", "utf8")
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .map((fields) => ({ index: Number.parseInt(fields[1] ?? "", 16), name: fields[5] ?? "" }));
}
