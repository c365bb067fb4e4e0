/**
 * Finds sockets and directories of the configuration that the daemon could not make, for the
 * command `check`. Makes nothing itself: the daemon may run, or have another mount namespace.
 */
import { accessSync, constants, existsSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { errorText } from "@cm4all/linux";
import type { Config } from "../../config.ts";

/** Returns a line for each place that cannot be used. */
export function findBadPlaces({ namespaces, control, metrics, reaper, accounting }: Config) {
  return [
    ...remark("namespaces.listen", namespaces.listen, socketMistake),
    ...remark(
      "control.socket",
      control.socket,
      (path) => directoryMistake(dirname(path)) ?? otherFile(path),
    ),
    ...remark("metrics.listen", metrics.listen, socketMistake),
    ...(reaper.enabled
      ? remark("accounting.journal", accounting.journal.directory, directoryMistake)
      : []),
  ];
}

/** Returns the mistake in a line; none if the address is not a path. */
function remark(
  key: string,
  address: string,
  find: (path: string) => string | undefined,
): readonly string[] {
  const mistake = address.startsWith("/") ? find(address) : undefined;
  return mistake === undefined ? [] : [`${key}: ${mistake}`];
}

/** Returns why a socket cannot be made in a directory that has to exist. */
function socketMistake(path: string): string | undefined {
  return existingMistake(dirname(path)) ?? otherFile(path);
}

/** Returns what is in the place of a socket. The daemon replaces another socket. */
function otherFile(path: string): string | undefined {
  const isOther = lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false;
  return isOther ? `${path} exists and is not a socket` : undefined;
}

/** Returns why a directory cannot be used, or made with those above it. */
function directoryMistake(path: string): string | undefined {
  return existsSync(path) ? existingMistake(path) : directoryMistake(dirname(path));
}

function existingMistake(path: string): string | undefined {
  try {
    if (!statSync(path).isDirectory()) return `${path} is not a directory`;
    // The daemon runs as root; others may check its configuration, too.
    if (process.geteuid?.() === 0) accessSync(path, constants.W_OK);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}
