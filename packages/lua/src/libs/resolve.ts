/** Resolves the addresses that scripts write; suspends the caller meanwhile if that is possible. */
import { spawnSync } from "node:child_process";
import { lookup } from "node:dns/promises";
import { type LuaState, lua, raisePlain, toText } from "../lua.ts";
import type { Scheduler } from "../runtime/scheduler.ts";
import { toObject } from "../userdata.ts";
import {
  AddressError,
  ipAddress,
  numericAddress,
  type ParsedAddress,
  parseAddress,
  portNumber,
  type SocketAddress,
} from "./address.ts";

export const ADDRESS = "SocketAddress";

type Resolved = SocketAddress | { error: string };

/** Returns an address, a failure, or a name that has to be looked up. */
function begin(text: string, defaultPort: number): Resolved | (ParsedAddress & { kind: "host" }) {
  try {
    const parsed = parseAddress(text);
    const numeric = numericAddress(parsed, defaultPort);
    return numeric ?? (parsed.kind === "host" ? parsed : { error: "not an address" });
  } catch (error) {
    if (error instanceof AddressError) return { error: error.message };
    throw error;
  }
}

function complete(
  host: string,
  port: string | undefined,
  defaultPort: number,
  found: string[],
): Resolved {
  // As in the original daemon: IPv6 first, then the resolver's order.
  const address = found.find((candidate) => candidate.includes(":")) ?? found[0];
  const resolved = address && ipAddress(address, portNumber(port, defaultPort));
  if (resolved) return resolved;
  return {
    error: `Failed to resolve "${host}":"${port ?? defaultPort}": Name or service not known`,
  };
}

/**
 * Calls `use` with the address in argument `index`, which is an object or a string. In a
 * coroutine, the look-up of a host name suspends the coroutine; elsewhere the look-up blocks.
 * @param use pushes the results and returns their number
 */
export function withAddress(
  L: LuaState,
  scheduler: Scheduler,
  index: number,
  defaultPort: number,
  use: (L: LuaState, address: Resolved) => number,
): number {
  const object = toObject<SocketAddress>(L, index, ADDRESS);
  if (object !== undefined) return use(L, object);
  const start = begin(toText(L, index) ?? "", defaultPort);
  if (!("kind" in start)) return use(L, start);
  const { host, port } = start;
  if (!lua.lua_isyieldable(L))
    return use(L, complete(host, port, defaultPort, lookupBlocking(host)));
  return scheduler.suspend(L, () => ({
    result: lookup(host, { all: true }).then(
      (found) =>
        complete(
          host,
          port,
          defaultPort,
          found.map(({ address }) => address),
        ),
      () => complete(host, port, defaultPort, []),
    ),
    push: use,
  }));
}

/**
 * Runs getent(1), because Node has no synchronous resolver, and the main chunk cannot be
 * suspended.
 */
function lookupBlocking(host: string): string[] {
  const { stdout } = spawnSync("getent", ["ahosts", host], { encoding: "utf8", timeout: 5000 });
  return (stdout ?? "").split("\n").flatMap((line) => line.split(/\s+/)[0] || []);
}

/** Returns the address, or raises the failure, for functions that cannot report it otherwise. */
export function addressOrRaise(L: LuaState, address: Resolved): SocketAddress {
  return "error" in address ? raisePlain(L, address.error) : address;
}
