/**
 * Reaches all limits of the daemon at the same time, with as many descriptors as its unit allows.
 * If this process may not raise its own limit that far, uses as many names as fit. In both cases,
 * checks that a name takes at most two descriptors.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { request, type TestClient } from "./support/client.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { as, Peer, STRANGER } from "./support/peer.ts";

const LIMIT_NOFILE = 65_536;

const CONNECTIONS = 4096;
const HANDLES = 4096;
const STRANGERS = 4096;
const STRANGERS_PER_UID = 2048;
/** The number of descriptors for Node, threads, sockets and the store; see docs/design.md. */
const OTHERS = 60;

const NAMES = Math.min(
  10_000,
  Math.floor((raiseLimit() - HANDLES - CONNECTIONS - STRANGERS - OTHERS) / 2),
);

const MEGABYTE = 2 ** 20;

/** Raises the limit of descriptors if that is allowed. Returns the limit, which daemons inherit. */
function raiseLimit(): number {
  const wanted = `--nofile=${LIMIT_NOFILE}:${LIMIT_NOFILE}`;
  spawnSync("prlimit", [`--pid=${process.pid}`, wanted], { stdio: "ignore" });
  const limits = readFileSync("/proc/self/limits", "utf8");
  return Number(/^Max open files +\d+ +(\d+)/m.exec(limits)?.[1]);
}

function take(client: TestClient, name: string): Disposable {
  const user = { uidMap: "0 1000 1" };
  const answer = client.ask(name, { ipc: true, pid: true, user, lease: true });
  for (const fd of [answer.ipc, answer.pid, answer.user]) fd?.close();
  return answer;
}

describe.skipIf(missing("root", "catatonit", "gcc") !== undefined)("all maxima together", () => {
  it("fit within the limit of descriptors, and are served", { timeout: 600_000 }, async () => {
    const peer = new Peer();
    onTestFinished(async () => {
      await peer.endAll();
      peer[Symbol.dispose]();
      await daemon.stop();
    });
    const daemon = await TestDaemon.start({
      config: [
        "[namespaces]",
        "expire_seconds = 3600",
        `max_names = ${NAMES}`,
        `max_names_per_uid = ${NAMES}`,
        `max_connections_per_uid = ${CONNECTIONS}`,
      ].join("\n"),
    });
    const startMs = performance.now();
    const clients = Array.from({ length: CONNECTIONS }, () => daemon.connect());
    const [client] = clients;
    if (client === undefined) throw new Error("no client");
    const leases: Disposable[] = [];
    for (let i = 0; i < NAMES; i++)
      leases.push(take(clients[i % CONNECTIONS] ?? client, `name ${i}`));
    const madeMs = performance.now() - startMs;
    for (let i = 0; i < STRANGERS / STRANGERS_PER_UID; i++)
      await peer.start(as({ uid: STRANGER + i }), daemon.address, new Uint8Array(), [
        "--hold",
        String(STRANGERS_PER_UID),
      ]);
    await until(
      async () => (await daemon.status()).connections === CONNECTIONS + STRANGERS,
      "all are connected",
    );
    const status = await daemon.status();
    expect(status).toMatchObject({
      names: NAMES,
      kept: { ipc: NAMES, pid: NAMES, user: NAMES },
      leasedNames: NAMES,
      openDescriptors: HANDLES,
    });
    const descriptors = daemon.descriptorCount();
    const megabytes = Math.round(daemon.privateBytes() / MEGABYTE);
    console.log(
      `${NAMES} names in ${Math.round(madeMs)} ms, ${descriptors} descriptors, ${megabytes} MiB`,
    );
    expect(descriptors).toBeLessThanOrEqual(2 * NAMES + HANDLES + CONNECTIONS + STRANGERS + OTHERS);

    const answer = client.exchange(request("one more", { ipc: true }));
    expect(answer).toEqual({ kind: "error", message: `quota reached: ${NAMES} names` });
    expect(peer.run([], daemon.address, request("name 1", { ipc: true }))).toEqual([
      `quota reached: ${CONNECTIONS} connections`,
      "closed",
    ]);
    // Asks for every tenth name again; most of their namespaces are no longer open in the daemon.
    const askMs = performance.now();
    for (let i = 0; i < NAMES; i += 10) client.inodes(`name ${i}`, { ipc: true, pid: true });
    console.log(`an answer takes ${((performance.now() - askMs) / (NAMES / 10)).toFixed(2)} ms`);

    // Purging all names does not block other requests.
    const purged = daemon.control({ command: "purge-namespaces", onlyIdle: false });
    const purgeMs = performance.now();
    let isPurging = true;
    void purged.then(() => {
      isPurging = false;
    });
    let longestMs = 0;
    while (isPurging) {
      const sentMs = performance.now();
      client.inodes("name 0", { ipc: true });
      longestMs = Math.max(longestMs, performance.now() - sentMs);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const durationMs = performance.now() - purgeMs;
    console.log(
      `purged in ${Math.round(durationMs)} ms, longest answer ${longestMs.toFixed(1)} ms`,
    );
    // If the purge were not cut into slices, an answer would take as long as the purge.
    expect(longestMs).toBeLessThan(durationMs / 2);
    await until(() => daemon.childPids().length === 0, "all inits have ended", 60_000);
    for (const open of [...leases, ...clients]) open[Symbol.dispose]();
    await peer.endAll();
    await until(() => daemon.descriptorCount() <= OTHERS, "everything is closed");
  });
});
