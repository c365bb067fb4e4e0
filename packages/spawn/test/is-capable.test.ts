/**
 * Tests with real sockets and processes that a process counts as the peer of a connection only if
 * it has made the connection, and not if it merely has the peer's pid.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  AF_UNIX,
  accept,
  bindUnix,
  connectUnix,
  Fd,
  getIntOption,
  isErrno,
  listen,
  ownNamespaceInode,
  SO_PEERPIDFD,
  SOCK_STREAM,
  socket,
} from "@cm4all/linux";
import { missing } from "@cm4all/testing";
import { expect, it } from "vitest";
import { CapablePeers } from "../src/namespaces/requests/capable-peers.ts";
import { tryOpenByPid } from "../src/namespaces/requests/peer-process.ts";
import type { Peer } from "../src/namespaces/requests/permission.ts";
import { monotonicMs } from "../src/thread/event-loop.ts";

/** Returns the accepted end of a connection that `connect` makes. */
function accepted(connect: (address: string) => void): Fd {
  const directory = mkdtempSync(join(tmpdir(), "is-capable-"));
  const address = join(directory, "socket");
  using listener = socket(AF_UNIX, SOCK_STREAM);
  bindUnix(listener.number, address);
  listen(listener.number, 1);
  connect(address);
  rmSync(directory, { recursive: true });
  const connection = accept(listener.number);
  if (connection === undefined) throw new Error("nobody has connected");
  return connection;
}

/** Returns a connection of a process that has ended. */
function acceptedFromGone(): Fd {
  const script = "require('net').connect(process.argv[1], () => process.exit(7))";
  return accepted((address) => {
    const { status } = spawnSync(process.execPath, ["-e", script, address]);
    expect(status).toBe(7);
  });
}

/** Returns this process as the peer of a connection. */
function thisProcess(connection: Fd, { acceptedMs = monotonicMs(), listenerFd = 0 } = {}): Peer {
  const credentials = { pid: process.pid, uid: 0, gid: 0 };
  return { credentials, socketFd: connection.number, listenerFd, acceptedMs };
}

function isThisProcessCapable(connection: Fd): boolean {
  return new CapablePeers(ownNamespaceInode("user")).isCapable(thisProcess(connection));
}

/** The need for SO_PEERPIDFD. Before Linux 6.5, the kernel tells only the pid of a peer. */
function peerPidfd(): string | undefined {
  using client = socket(AF_UNIX, SOCK_STREAM);
  using connection = accepted((address) => connectUnix(client.number, address));
  try {
    new Fd(getIntOption(connection.number, SO_PEERPIDFD)).close();
    return undefined;
  } catch (error) {
    if (isErrno(error, "ENOPROTOOPT")) return "needs SO_PEERPIDFD";
    throw error;
  }
}

it.skipIf(missing("root") !== undefined)("a running peer with CAP_SYS_ADMIN is capable", () => {
  using client = socket(AF_UNIX, SOCK_STREAM);
  using connection = accepted((address) => connectUnix(client.number, address));
  expect(isThisProcessCapable(connection)).toBe(true);
});

it.skipIf(missing("root", peerPidfd) !== undefined)(
  "a peer that is gone is not capable, even if its pid now belongs to a capable process",
  () => {
    using connection = acceptedFromGone();
    expect(isThisProcessCapable(connection)).toBe(false);
  },
);

it.skipIf(missing("root", peerPidfd) !== undefined).each([
  ["was accepted before a capable process with its pid, from the same socket", { acceptedMs: 9 }],
  ["was accepted at the same time as a capable process with its pid", { acceptedMs: 10 }],
  [
    "was accepted after a capable process with its pid, from another socket",
    { acceptedMs: 11, listenerFd: 1 },
  ],
])("a peer that is gone is not capable, even if it %s", (_, place) => {
  using client = socket(AF_UNIX, SOCK_STREAM);
  using connection = accepted((address) => connectUnix(client.number, address));
  using ofGone = acceptedFromGone();
  const peers = new CapablePeers(ownNamespaceInode("user"));
  expect(peers.isCapable(thisProcess(connection, { acceptedMs: 10 }))).toBe(true);
  expect(peers.isCapable(thisProcess(ofGone, place))).toBe(false);
  // A connection with that pid that is accepted later from the same socket can only be that of the
  // capable process, so the kernel is not asked.
  expect(peers.isCapable(thisProcess(ofGone, { acceptedMs: 11 }))).toBe(true);
});

it("a process with a peer's pid is taken for the peer only if it existed when the peer was accepted", () => {
  const child = spawn("sleep", ["600"], { stdio: "ignore" });
  try {
    if (child.pid === undefined) throw new Error("sleep(1) has not started");
    using peer = tryOpenByPid(child.pid, monotonicMs());
    expect(peer).toBeDefined();
    using later = tryOpenByPid(child.pid, monotonicMs() - 60_000);
    expect(later).toBeUndefined();
  } finally {
    child.kill("SIGKILL");
  }
});
