/** Runs the program nft(8). */
import type { SpawnSyncOptionsWithStringEncoding } from "node:child_process";
import { CommandFailure, EX_OSERR, EX_UNAVAILABLE } from "@cm4all/command";
import { isErrno, withNamespace } from "@cm4all/linux";
import type { NetworkNamespace } from "./namespace.ts";
import { deleteTableText } from "./nft-text.ts";

/** More than enough: a list of thousands of rules takes a few megabytes. */
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;

/**
 * Runs nft in the network namespace of the calling thread.
 * @param lock a descriptor that nft keeps open: if we are killed, the lock is held until nft
 * has ended
 * @throws CommandFailure with the first line of nft's error output
 */
function nft(args: readonly string[], input?: string, lock?: number): string {
  // The module is loaded only here: most namespaces have no table, and are made faster without it.
  const { spawnSync } = process.getBuiltinModule("node:child_process");
  const options: SpawnSyncOptionsWithStringEncoding & { detached: boolean } = {
    ...(input === undefined ? {} : { input }),
    stdio: ["pipe", "pipe", "pipe", ...(lock === undefined ? [] : [lock])],
    encoding: "utf8",
    maxBuffer: OUTPUT_BYTES_MAX,
    // A session of its own: on Control-C, the terminal sends SIGINT to every process of our group;
    // nft does not hold the signal back as we do, and would end in the middle of an undo.
    detached: true,
  };
  const { error, status, signal, stdout, stderr } = spawnSync("nft", args, options);
  if (error !== undefined) {
    if (isErrno(error, "ENOENT"))
      throw new CommandFailure("nft(8) is missing: install nftables", EX_UNAVAILABLE);
    throw error;
  }
  if (status === 0) return stdout;
  const end = signal === null ? `status ${status}` : `ended by ${signal}`;
  const first = stderr.trim().split("\n")[0] || end;
  throw new CommandFailure(`nft ${args.join(" ")}: ${first}`, EX_OSERR);
}

/**
 * Loads rules in one transaction: all of them, or none.
 * @param namespace the namespace to load them in; undefined for that of the calling thread
 */
export function loadRules(text: string, lock?: number, namespace?: NetworkNamespace): void {
  const load = () => nft(["-f", "-"], text, lock);
  if (namespace === undefined) load();
  else withNamespace(namespace.fd.number, "net", load);
}

/** Deletes our table of that name, if it exists. */
export function deleteTable(table: string, lock?: number): void {
  loadRules(deleteTableText(table), lock);
}

/** Returns the output of `nft list`, in the form of libnftables-json(5). */
export function listJson(...what: readonly string[]): unknown {
  return JSON.parse(nft(["-j", "list", ...what]));
}

/** Returns the names of the tables of the family inet. */
export function listTables(): string[] {
  const listed = listJson("tables", "inet") as {
    nftables: { table?: { name: string } }[];
  };
  return listed.nftables.flatMap(({ table }) => (table === undefined ? [] : [table.name]));
}
