/** Compares the configuration with the host as it is now, for the command `check`. */
import { once } from "node:events";
import { readdirSync } from "node:fs";
import { createServer } from "node:net";
import { printable } from "@cm4all/command";
import {
  type ByteString,
  bufferOf,
  bytesOf,
  errorText,
  isErrno,
  joinPath,
  textOf,
} from "@cm4all/linux";
import { parseListenAddress } from "../../prometheus/address.ts";
import { enterPlace, type Place, rootPlace } from "../../reaper/scopes.ts";

/**
 * Returns a line that lists the configured scopes that exist now.
 * @param root the mount point of cgroup2
 */
export function describeScopes(root: ByteString, scopes: readonly string[]): string {
  const found = findScopes(root, rootPlace(scopes));
  return found.length === 0
    ? "none of the scopes exists now: no spawner is running, or its scope is missing from reaper.extra_scopes"
    : `scopes that exist now: ${found.map((path) => printable(textOf(path))).join(" ")}`;
}

/**
 * Returns the paths of the scopes in a directory, relative to it.
 * @throws Node's system errors, but not ENOENT
 */
function findScopes(directory: ByteString, place: Place): ByteString[] {
  return childrenOf(directory).flatMap((name): ByteString[] => {
    const inner = enterPlace(place, name);
    if (inner === undefined) return [];
    if (inner.kind !== "way") return [name];
    return findScopes(joinPath(directory, name), inner).map((path) => joinPath(name, path));
  });
}

/**
 * Returns the names of subdirectories; none if the directory has vanished.
 * @throws Node's system errors
 */
function childrenOf(directory: ByteString): ByteString[] {
  try {
    return readdirSync(bufferOf(directory), { withFileTypes: true, encoding: "buffer" })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => bytesOf(name));
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    return [];
  }
}

/**
 * Tries to listen on the address of the metrics, and returns the reason if that fails.
 * @returns undefined if listening succeeds, if there is no address, or if the address is a path,
 *   which `findBadPlaces` checks
 */
export async function addressRemark(address: string): Promise<string | undefined> {
  const where = parseListenAddress(address);
  if (where === undefined || "path" in where) return undefined;
  const server = createServer();
  try {
    server.listen(where);
    await once(server, "listening");
    return undefined;
  } catch (error) {
    return isErrno(error, "EADDRINUSE")
      ? `${address} is in use: by the daemon if it is running, and otherwise by another program`
      : `${address} cannot be used now; the daemon will try again: ${errorText(error)}`;
  } finally {
    server.close();
  }
}
