/** Formats the tree of the slice as text and as JSON. Pure. */
import { alignColumns, printable } from "@cm4all/command";
import type { CgroupNode, Limit } from "./cgroup.ts";

/** Formats bytes in powers of 1024: `512B`, `1.5K`, `12.3G`. */
export function formatBytes(bytes: number): string {
  let value = bytes;
  let unit = "B";
  for (const next of ["K", "M", "G", "T", "P"]) {
    // 1023.96 would be shown as 1024.0.
    if (value < 1023.95) break;
    value /= 1024;
    unit = next;
  }
  return unit === "B" ? `${value}B` : `${value.toFixed(1)}${unit}`;
}

/** Formats CPU time in its two largest units: `0.50s`, `1min 2s`, `3h 0min`, `12d 4h`. */
export function formatCpuTime(usec: number): string {
  const seconds = Math.floor(usec / 1_000_000);
  if (seconds < 60) return `${(Math.floor(usec / 10_000) / 100).toFixed(2)}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}min ${seconds % 60}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${minutes % 60}min`;
  return `${Math.floor(hours / 24)}d ${hours % 24}h`;
}

/** Returns the lower of two limits: the one that is reached first. */
function lower(a: Limit | undefined, b: Limit | undefined): Limit | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  if (a === "infinity" || b === "infinity") return a === "infinity" ? b : a;
  return Math.min(a, b);
}

const MISSING = "-";

function show<T>(value: T | undefined, format: (value: T) => string): string {
  return value === undefined ? MISSING : format(value);
}

function showLimit(limit: Limit | undefined, format: (value: number) => string): string {
  return limit === "infinity" ? "none" : show(limit, format);
}

/** An earlier measurement, for the CPU usage since then. */
export interface Earlier {
  readonly tree: CgroupNode;
  readonly elapsedUsec: number;
}

/**
 * Returns the CPU usage in percent of one CPU; undefined if this cgroup's CPU time is not known, or
 * was not known at the earlier measurement.
 */
function cpuShare(
  now: CgroupNode,
  before: CgroupNode | undefined,
  elapsedUsec: number,
): number | undefined {
  if (now.usage.cpuUsec === undefined || before?.usage.cpuUsec === undefined) return undefined;
  const used = now.usage.cpuUsec - before.usage.cpuUsec;
  // If the CPU time is less than before, this is another cgroup of the same name.
  return used < 0 || elapsedUsec <= 0 ? undefined : (used / elapsedUsec) * 100;
}

interface Branches {
  readonly last: string;
  readonly other: string;
  readonly pass: string;
}
const UNICODE: Branches = { last: "└─", other: "├─", pass: "│ " };
const ASCII: Branches = { last: "`-", other: "|-", pass: "| " };

export interface StatusOptions {
  /** True to draw the tree with line-drawing characters. */
  readonly unicode: boolean;
  /** An earlier measurement, to show the CPU usage since then. */
  readonly earlier?: Earlier | undefined;
  readonly watching?: boolean;
}

/** Returns the lines of a table of the tree, with its header first. */
export function formatStatus(tree: CgroupNode, options: StatusOptions): string[] {
  const { earlier, watching = false } = options;
  const branches = options.unicode ? UNICODE : ASCII;
  const rows: string[][] = [];

  const visit = (
    node: CgroupNode,
    before: CgroupNode | undefined,
    branch: string,
    indent: string,
  ) => {
    const { usage } = node;
    const share = cpuShare(node, before, earlier?.elapsedUsec ?? 0);
    rows.push([
      // Whoever makes a cgroup chooses its name, which may have control characters.
      branch + printable(node.name),
      show(usage.cpuUsec, formatCpuTime),
      ...(watching ? [show(share, (percent) => percent.toFixed(1))] : []),
      show(usage.memoryBytes, formatBytes),
      show(usage.memoryPeakBytes, formatBytes),
      showLimit(lower(usage.memoryHighBytes, usage.memoryMaxBytes), formatBytes),
      show(usage.swapBytes, formatBytes),
      show(usage.tasks, String),
      showLimit(usage.tasksMax, String),
    ]);
    node.children.forEach((child, index) => {
      const isLast = index === node.children.length - 1;
      const same = before?.children.find(({ name }) => name === child.name);
      visit(
        child,
        same,
        indent + (isLast ? branches.last : branches.other),
        indent + (isLast ? "  " : branches.pass),
      );
    });
  };
  visit(tree, earlier?.tree, "", "");

  const share = watching ? ["CPU%"] : [];
  const titles = [
    "UNIT",
    "CPU TIME",
    ...share,
    "MEMORY",
    "PEAK",
    "LIMIT",
    "SWAP",
    "TASKS",
    "LIMIT",
  ];
  return alignColumns([titles, ...rows], ["left", "right"]);
}

/**
 * Returns an object for `JSON.stringify`, which leaves out undefined values: a missing value is
 * a missing key.
 */
export function toJson(node: CgroupNode): object {
  return { name: node.name, ...node.usage, children: node.children.map(toJson) };
}
