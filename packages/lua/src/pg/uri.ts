/**
 * `postgresql://[user[:password]@][host[:port],...][/dbname][?name=value&...]`. Pure.
 *
 * As libpq reads them: all up to an `@` in front of the first `/` is user and password, so that
 * a password may hold `#`, `?`, `,` and `:`. A message shows no part of a URI that a password
 * with an `@` or `/` that is not percent-encoded could have got into.
 */
import { ConninfoError, isOption, type Parameters, quoted } from "./options.ts";

const PREFIX = /^postgres(?:ql)?:\/\//;

/** Returns if a connection string is a URI, and not a list of `name=value`. */
export function isUri(conninfo: string): boolean {
  return PREFIX.test(conninfo);
}

/** @throws ConninfoError */
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
    // A word after it may be the rest of it.
    hasSecret ||= /^[^=]*(?:password|secret)/.test(pair);
  }
  return parameters;
}

/** Returns what follows the last host. */
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
    // More than digits, and it may be a password that a "/" has cut off from its "@".
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
    `a "${character}" of a user or password in a URI has to be percent-encoded`,
  );
}

/** @param shown gives a name as messages may show it */
function parsePair(parameters: Parameters, pair: string, shown: (name: string) => string): void {
  const [name = "", value, extra] = pair.split("=");
  if (value === undefined)
    throw new ConninfoError(
      `missing key/value separator "=" in URI query parameter:${shown(name)}`,
    );
  if (extra !== undefined)
    throw new ConninfoError(`extra key/value separator "=" in URI query parameter:${shown(name)}`);
  const option = decode("name", name);
  // JDBC's way to ask for TLS
  if (option === "ssl" && value === "true") parameters.set("sslmode", "require");
  else if (!isOption(option))
    throw new ConninfoError(`invalid URI query parameter:${shown(option)}`);
  else parameters.set(option, decode(option, value));
}

function setDecoded(parameters: Parameters, name: string, value: string | undefined): void {
  if (value !== undefined && value !== "") parameters.set(name, decode(name, value));
}

/** @param name for messages, which show no values */
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
