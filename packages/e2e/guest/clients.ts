/**
 * clients.js ROLE PREFIX COUNT FILE: requests from the daemon the IPC and PID namespaces of COUNT
 * names, PREFIX-0 and so on, and writes a report to FILE.
 *
 *     hold   requests each name once, with a lease; writes the inodes; ends on SIGTERM
 *     read   requests each name once; writes the inodes; ends on SIGTERM
 *     load   requests randomly chosen names until SIGTERM, then writes its figures
 */
import { renameSync, writeFileSync } from "node:fs";
import { SpawnClient } from "@cm4all/spawn-client";

const CONNECTIONS = 4;
const TIMEOUT_MS = 120_000;

const [role = "", prefix = "", countText = "", file = ""] = process.argv.slice(2);
const count = Number(countText);

function write(report: unknown): void {
  writeFileSync(`${file}.new`, JSON.stringify(report));
  renameSync(`${file}.new`, file);
}

async function readInodes(isLeased: boolean): Promise<void> {
  const client = new SpawnClient({ timeoutMs: TIMEOUT_MS });
  const leases = [];
  const inodes: Record<string, [number, number]> = {};
  for (let i = 0; i < count; i++) {
    const name = `${prefix}-${i}`;
    const grant = await client.request(name, { ipc: true, pid: true, lease: isLeased });
    inodes[name] = [grant.ipc.inode, grant.pid.inode];
    grant.ipc.close();
    grant.pid.close();
    leases.push(grant.lease);
  }
  write(inodes);
  process.on("SIGTERM", () => process.exit(leases.length === count ? 0 : 1));
  setInterval(() => {}, 1 << 30);
}

async function load(): Promise<void> {
  let isEnding = false;
  let requests = 0;
  let longestMs = 0;
  const errors: string[] = [];
  process.on("SIGTERM", () => {
    isEnding = true;
  });
  const ask = async () => {
    const client = new SpawnClient({ timeoutMs: TIMEOUT_MS });
    while (!isEnding) {
      const name = `${prefix}-${Math.floor(Math.random() * count)}`;
      const startMs = performance.now();
      try {
        using _grant = await client.request(name, { ipc: true, pid: true });
        if (++requests === 1) write({});
      } catch (error) {
        errors.push(String(error));
      }
      longestMs = Math.max(longestMs, performance.now() - startMs);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, ask));
  write({ requests, errors: errors.slice(0, 10), longestMs: Math.round(longestMs) });
  process.exit(0);
}

void (role === "load" ? load() : readInodes(role === "hold"));
