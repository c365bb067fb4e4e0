/**
 * Finds paths of sockets and directories that the configuration names but the daemon could not
 * use, for the command `check`. Creates nothing itself: the daemon may be running, or have another
 * mount namespace.
 */
import { accessSync, constants, existsSync, lstatSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { encodeUnixAddress, errorText, isErrno } from "@cm4all/linux";
import { DEFAULT_CONTROL_SOCKET } from "../../config/operator.ts";
import type { Config } from "../../config.ts";

/** The directory that exists while the service is running: systemd makes it (RuntimeDirectory=). */
const RUNTIME_DIRECTORY = dirname(DEFAULT_CONTROL_SOCKET);

/** Returns a line for each place that cannot be used. */
export function findBadPlaces({ namespaces, control, metrics, reaper, accounting }: Config) {
  return [
    ...remark("namespaces.listen", namespaces.listen, socketMistake),
    ...remark(
      "control.socket",
      control.socket,
      (path) => lengthMistake(path) ?? directoryMistake(dirname(path)) ?? otherFile(path),
    ),
    ...remark("metrics.listen", metrics.listen, socketMistake),
    ...(reaper.enabled
      ? remark("accounting.journal", accounting.journal.directory, directoryMistake)
      : []),
  ];
}

/**
 * Returns a line with the mistake that `find` returns; no line if there is no mistake, if the
 * address is not a path, or if only root may look at the path.
 */
function remark(
  key: string,
  address: string,
  find: (path: string) => string | undefined,
): readonly string[] {
  try {
    const mistake = address.startsWith("/") ? find(address) : undefined;
    return mistake === undefined ? [] : [`${key}: ${mistake}`];
  } catch (error) {
    return !isRoot() && isErrno(error, "EACCES") ? [] : [`${key}: ${errorText(error)}`];
  }
}

/** Returns whether the check runs as root, like the daemon; other users may run it, too. */
function isRoot(): boolean {
  return process.geteuid?.() === 0;
}

/** Returns why a socket cannot be created in its directory, which the daemon does not create. */
function socketMistake(path: string): string | undefined {
  const tooLong = lengthMistake(path);
  if (tooLong !== undefined) return tooLong;
  const directory = dirname(path);
  if (directory === RUNTIME_DIRECTORY && !existsSync(directory)) return undefined;
  return existingMistake(directory) ?? otherFile(path);
}

/**
 * Returns a message if a path is too long for a socket. With such a path for the control socket or
 * the metrics, the daemon starts nevertheless, and tries again.
 */
function lengthMistake(path: string): string | undefined {
  try {
    encodeUnixAddress(path);
    return undefined;
  } catch (error) {
    return errorText(error);
  }
}

/**
 * Returns a message if a path leads to anything but a socket. The daemon replaces a socket on which
 * nobody listens.
 */
function otherFile(path: string): string | undefined {
  const isOther = lstatSync(path, { throwIfNoEntry: false })?.isSocket() === false;
  return isOther ? `${path} exists and is not a socket` : undefined;
}

/** Returns why a directory cannot be used or, if it is missing, why it cannot be created. */
function directoryMistake(path: string): string | undefined {
  return existsSync(path) ? existingMistake(path) : directoryMistake(dirname(path));
}

/** Returns why an existing directory cannot be used. @throws Node's system errors */
function existingMistake(path: string): string | undefined {
  if (!statSync(path).isDirectory()) return `${path} is not a directory`;
  if (isRoot()) accessSync(path, constants.W_OK);
  return undefined;
}
