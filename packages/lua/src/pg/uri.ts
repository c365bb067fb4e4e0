/**
 * `postgresql://[user[:password]@][host[:port],...][/dbname][?name=value&...]`. Pure.
 *
 * URIs are read as libpq reads them: if there is an `@` before the first `/`, user and password are
 * before that `@`, so a password may contain `#`, `?`, `,` and `:`. Messages show no part of a URI
 * that may belong to a password whose `@` or `/` is not percent-encoded.
 */
import { ConninfoError, isOption, type Parameters, quoted } from "./options.ts";

const PREFIX = /^postgres(?:ql)?:\/\//;

/** Returns whether a connection string is a URI, and not a list of `name=value`. */
export function isUri(conninfo: string): boolean {
  return PREFIX.test(conninfo);
}

/** Parses a URI. @throws ConninfoError */
export function parseUri(uri: string): Parameters {
  const parameters: Parameters = new Map();
  let rest = uri.replace(PREFIX, "");
  const [userInfo, user = "", password] = /^([^:@/]*)(?::([^@/]*))?@/.exec(rest) ?? [];
  if (userInfo !== undefined) {
    setDecoded(parameters, "user", user);
    setDecoded(parameters, "password", password);
    rest = rest.slice(userInfo.length);
  }
  rest = parseHosts(parameters, rest);
  const [, database, query = ""] = /^(?:\/([^?]*))?(?:\?([\s\S]*))?$/.exec(rest) ?? [];
  if (userInfo === undefined && database?.includes("@") && parameters.has("port")) refuseAt("/");
  setDecoded(parameters, "dbname", database);
  let hasSecret = false;
  for (const pair of query === "" ? [] : query.split("&")) {
    parsePair(parameters, pair, hasSecret ? () => "" : quoted);
    // What follows a secret may be the rest of the secret, if an `&` in it is not percent-encoded.
    hasSecret ||= /^[^=]*(?:password|secret)/.test(pair);
  }
  return parameters;
}

/** Reads the hosts and ports. Returns the text after the last of them. */
function parseHosts(parameters: Parameters, text: string): string {
  const hosts: string[] = [];
  const ports: string[] = [];
  let rest = text;
  for (;;) {
    const host = parseHost(rest);
    rest = rest.slice(host.length);
    const bare = host.startsWith("[") ? host.slice(1, -1) : host;
    if (bare.includes("@")) refuseAt("@");
    const [port = ""] = /^:[^/?,]*/.exec(rest) ?? [];
    rest = rest.slice(port.length);
    // If this is not a number, it may be the start of a password with a "/"; the "@" comes later.
    if (!/^:?\d*$/.test(port)) {
      if (rest.includes("@")) refuseAt("/");
      throw new ConninfoError('invalid integer value for connection option "port" in URI');
    }
    hosts.push(decode("host", bare));
    ports.push(port.slice(1));
    if (!rest.startsWith(",")) break;
    rest = rest.slice(1);
  }
  if (hosts.some((host) => host !== "")) parameters.set("host", hosts.join(","));
  if (ports.some((port) => port !== "")) parameters.set("port", ports.join(","));
  return rest;
}

function parseHost(text: string): string {
  if (!text.startsWith("[")) return /^[^:/?,]*/.exec(text)?.[0] ?? "";
  const end = text.indexOf("]");
  if (end === -1)
    throw new ConninfoError(
      'end of string reached when looking for matching "]" in IPv6 host address in URI',
    );
  if (end === 1) throw new ConninfoError("IPv6 host address may not be empty in URI");
  const next = text[end + 1];
  if (next !== undefined && !":/?,".includes(next))
    throw new ConninfoError('unexpected character after "]" in URI (expected ":" or "/")');
  return text.slice(0, end + 1);
}

function refuseAt(character: string): never {
  throw new ConninfoError(
    `a "${character}" in the user name or password of a URI has to be percent-encoded`,
  );
}

/** Reads a parameter of the query. @param shown returns the form of a name in messages */
function parsePair(parameters: Parameters, pair: string, shown: (name: string) => string): void {
  const [name = "", value, extra] = pair.split("=");
  if (value === undefined)
    throw new ConninfoError(
      `missing key/value separator "=" in URI query parameter:${shown(name)}`,
    );
  if (extra !== undefined)
    throw new ConninfoError(`extra key/value separator "=" in URI query parameter:${shown(name)}`);
  const option = decode("name", name);
  // This is how JDBC asks for TLS.
  if (option === "ssl" && value === "true") parameters.set("sslmode", "require");
  else if (!isOption(option))
    throw new ConninfoError(`invalid URI query parameter:${shown(option)}`);
  else parameters.set(option, decode(option, value));
}

function setDecoded(parameters: Parameters, name: string, value: string | undefined): void {
  if (value !== undefined && value !== "") parameters.set(name, decode(name, value));
}

/** Decodes percent-encoding. @param name the value's name, for messages, instead of the value */
function decode(name: string, text: string): string {
  if (/%(?![0-9a-fA-F]{2})/.test(text))
    throw new ConninfoError(`invalid percent-encoded token in the ${name} of the URI`);
  if (text.includes("%00"))
    throw new ConninfoError(`forbidden value %00 in the ${name} of the URI`);
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ConninfoError(`the ${name} of the URI is not UTF-8`);
  }
}
