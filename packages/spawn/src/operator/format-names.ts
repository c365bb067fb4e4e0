/** Formats names of the namespace service for people. Pure. */
import { alignColumns, printable } from "@cm4all/command";
import { formatDuration, type Row } from "../metrics/format.ts";
import type { NameStatus } from "../namespaces/names/name-status.ts";
import type { FoundProcess, NameWithProcesses } from "./processes.ts";

/** Returns a heading, and then one line for each name. */
export function formatNames(names: readonly NameWithProcesses[]): string[] {
  const rows = names.map((each) => [
    printable(each.name),
    formatKinds(each),
    each.init === undefined ? "-" : `${each.processes.length}`,
    each.idleSeconds === undefined ? "-" : formatDuration(Math.floor(each.idleSeconds)),
    each.uid === undefined ? "-" : `${each.uid}`,
    each.isLeased ? formatProcesses(each.leaseHolders) : "-",
  ]);
  return alignColumns([["NAME", "NAMESPACES", "PROCESSES", "IDLE", "UID", "LEASED BY"], ...rows]);
}

/** Returns all fields of a name in rows. */
export function formatName(name: NameWithProcesses): Row[] {
  const { uid, init, isLeased, idleSeconds = 0, processes } = name;
  return [
    ["name", printable(name.name)],
    ["made by", uid === undefined ? "an unknown uid" : `uid ${uid}`],
    ["namespaces", formatKinds(name)],
    ...(init === undefined
      ? []
      : ([
          ["init", `pid ${init.pid}`],
          ["processes", processes.length === 0 ? "none" : formatProcesses(processes)],
        ] as const)),
    [
      "leased by",
      isLeased
        ? formatProcesses(name.leaseHolders)
        : `nobody, last used ${formatDuration(Math.floor(idleSeconds))} ago`,
    ],
  ];
}

function formatKinds({ namespaces }: NameStatus): string {
  const kinds = Object.entries(namespaces).filter(([, count]) => count > 0);
  if (kinds.length === 0) return "none";
  return kinds.map(([kind, count]) => (count === 1 ? kind : `${count} ${kind}`)).join(" ");
}

/**
 * Lists the processes that hold a lease or that run in a PID namespace. If no process holds the
 * lease, it is in a message that has not been received yet.
 */
function formatProcesses(processes: readonly FoundProcess[]): string {
  if (processes.length === 0) return "a message on its way";
  const shown = processes
    .slice(0, MAX_SHOWN)
    .map(({ pid, command }) => `${printable(command)}[${pid}]`);
  const more = processes.length - shown.length;
  return [...shown, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

/** The maximum number of processes that are listed; the others are only counted. */
const MAX_SHOWN = 5;
