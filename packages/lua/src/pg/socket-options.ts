/**
 * The options that libpq sets on the socket of a session, and its check of the peer.
 * @see tcp(7), unix(7)
 */
import { spawnSync } from "node:child_process";
import type { Socket } from "node:net";
import { getSocketOption, SO_PEERCRED, SOL_SOCKET, setIntOption } from "@cm4all/linux";
import type { Target } from "./target.ts";

const IPPROTO_TCP = 6;
const SO_KEEPALIVE = 9;
const TCP_USER_TIMEOUT = 18;

const KEEPALIVE = { keepalives_idle: 4, keepalives_interval: 5, keepalives_count: 6 };

/**
 * Prepares a connected socket, before TLS.
 * @throws Error with the reason why it must not be used
 */
export function prepareSocket(socket: Socket, target: Target, isLocal: boolean): void {
  const fd = descriptor(socket);
  if (fd === undefined) return;
  if (isLocal) checkPeer(fd, target.option("requirepeer"));
  else setTimeouts(fd, target);
}

function descriptor(socket: Socket): number | undefined {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null };
  return handle?.fd;
}

/** Sets the timeouts of TCP; 0 leaves the system's value. */
function setTimeouts(fd: number, target: Target): void {
  const set = (option: number, text: string | undefined) => {
    const value = Number(text ?? 0);
    if (value > 0) setIntOption(fd, IPPROTO_TCP, option, value);
  };
  const isKept = Number(target.option("keepalives") ?? 1) !== 0;
  setIntOption(fd, SOL_SOCKET, SO_KEEPALIVE, isKept ? 1 : 0);
  if (isKept)
    for (const [name, option] of Object.entries(KEEPALIVE)) set(option, target.option(name));
  set(TCP_USER_TIMEOUT, target.option("tcp_user_timeout"));
}

/** Checks the peer. @throws Error unless the process at the other end runs as this user */
function checkPeer(fd: number, required: string | undefined): void {
  if (!required) return;
  const uid = getSocketOption(fd, SOL_SOCKET, SO_PEERCRED, 12).readUInt32LE(4);
  const name = userName(uid);
  if (name === undefined) throw new Error(`local user with ID ${uid} does not exist`);
  if (name !== required)
    throw new Error(`requirepeer specifies "${required}", but actual peer user name is "${name}"`);
}

/** Returns the name of a user. Node looks up only our own uid. @see getent(1) */
function userName(uid: number): string | undefined {
  const { stdout } = spawnSync("getent", ["passwd", String(uid)], { encoding: "utf8" });
  return stdout?.split(":")[0] || undefined;
}
