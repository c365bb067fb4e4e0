/** The record of a namespace as text. Pure. */
import type { PublishedPort } from "./description.ts";
import { undoPlainVeth } from "./plan.ts";
import type { Undo } from "./step.ts";

/** A link of the namespace. The indexes are known once the link has been created. */
export interface RecordedLink {
  /** The name inside. */
  readonly name: string;
  readonly insideIndex?: number | undefined;
  /** The index of the host's end of a pair. */
  readonly outsideIndex?: number | undefined;
  /** The former state of a link that was moved in. */
  readonly original?: OriginalLink | undefined;
}

export interface OriginalLink {
  readonly name: string;
  readonly up: boolean;
  readonly mtuBytes?: number | undefined;
  readonly mac?: string | undefined;
  readonly txQueueLength?: number | undefined;
}

/** A setting of the host, with the value that it had before the first namespace changed it. */
export interface ChangedSetting {
  /** The path relative to /proc/sys, with the name that the link had when the record was written. */
  readonly path: string;
  readonly value: string;
  /** The link's index, by which it is found if it is renamed. */
  readonly linkIndex?: number | undefined;
  /** The value of the same setting for all links, before the first namespace changed this one. */
  readonly ofAll?: string | undefined;
}

export interface NamespaceRecord {
  /** "unfinished" during `up`, "complete" between `up` and `down`, "removing" during `down`. */
  readonly state: "unfinished" | "complete" | "removing";
  /** The pid of the `up` that has made the record, for administrators. */
  readonly pid: number;
  /** The boot for which the cookie, the inode and the indexes are valid. */
  readonly bootId: string;
  /** The namespace's cookie, in decimal digits. */
  readonly cookie: string;
  /** The inode of the namespace, by which its processes are found if its name is gone. */
  readonly inode?: number | undefined;
  /** The undo steps of everything that has been done, or is about to be done. */
  readonly undo: readonly Undo[];
  readonly links: readonly RecordedLink[];
  readonly settings: readonly ChangedSetting[];
  /** Networks taken from the pool, as `ADDRESS/LENGTH`. */
  readonly pool: readonly string[];
  readonly publish: readonly PublishedPort[];
}

/**
 * Encodes a record as one line. `parseRecord` reads only the first line of a file, because a record
 * may have been written over an older one that was longer.
 */
export function encodeRecord(record: NamespaceRecord): string {
  return `${JSON.stringify(record)}\n`;
}

type Json = Record<string, unknown>;

const isObject = (value: unknown): value is Json => typeof value === "object" && value !== null;

const isList = (value: unknown, fits: (element: Json) => boolean): boolean =>
  Array.isArray(value) && value.every((element) => isObject(element) && fits(element));

const maybe = (value: unknown, type: "number" | "string"): boolean =>
  value === undefined || typeof value === type;

const undoKinds: ReadonlySet<unknown> = new Set<Undo["kind"]>([
  "end-processes",
  "delete-link",
  "return-link",
  "delete-table",
  "restore-forwarding",
  "remove-resolv-conf",
  "delete-namespace",
]);

const isUndo = ({ kind, link, parent }: Json): boolean =>
  undoKinds.has(kind) &&
  (kind !== "delete-link" || typeof link === "string") &&
  (kind !== "return-link" || (typeof link === "string" && typeof parent === "string"));

const isLink = ({ name, insideIndex, outsideIndex, original }: Json): boolean =>
  typeof name === "string" &&
  maybe(insideIndex, "number") &&
  maybe(outsideIndex, "number") &&
  (original === undefined ||
    (isObject(original) &&
      typeof original["name"] === "string" &&
      typeof original["up"] === "boolean" &&
      maybe(original["mtuBytes"], "number") &&
      maybe(original["mac"], "string") &&
      maybe(original["txQueueLength"], "number")));

/**
 * Returns true if a setting is a forwarding setting of a link: a record must not make us write to
 * any other file.
 */
const isSetting = ({ path, value, linkIndex, ofAll }: Json): boolean =>
  typeof path === "string" &&
  typeof value === "string" &&
  maybe(linkIndex, "number") &&
  maybe(ofAll, "string") &&
  /^net\/ipv[46]\/conf\/(?!\.{1,2}\/)[^/]+\/(force_)?forwarding$/.test(path);

const isPort = ({ address, hostPort, insidePort, protocol }: Json): boolean =>
  maybe(address, "string") &&
  typeof hostPort === "number" &&
  typeof insidePort === "number" &&
  (protocol === "tcp" || protocol === "udp");

/** Parses a record; returns undefined for anything else, such as an empty lock file. */
export function parseRecord(text: string): NamespaceRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text.split("\n", 1)[0] ?? "");
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  const { state, pid, bootId, cookie } = value;
  if (
    (state !== "unfinished" && state !== "complete" && state !== "removing") ||
    typeof pid !== "number" ||
    typeof bootId !== "string" ||
    typeof cookie !== "string"
  )
    return undefined;
  const base = { state, pid, bootId, cookie } as const;
  return "undo" in value ? parseRest(base, value) : parseFirstVersion(base, value);
}

type Base = Pick<NamespaceRecord, "state" | "pid" | "bootId" | "cookie">;

function parseRest(base: Base, value: Json): NamespaceRecord | undefined {
  const { inode, undo, links, settings, pool, publish } = value;
  if (
    !maybe(inode, "number") ||
    !isList(undo, isUndo) ||
    !isList(links, isLink) ||
    !isList(settings, isSetting) ||
    !isList(publish, isPort) ||
    !Array.isArray(pool) ||
    !pool.every((network) => typeof network === "string")
  )
    return undefined;
  const rest = { inode, undo, links, settings, pool, publish };
  return { ...base, ...(rest as Omit<NamespaceRecord, keyof Base>) };
}

/**
 * Parses a record of version 0.1, which knew only veth pairs, and recorded only the index of the
 * host's end.
 */
function parseFirstVersion(base: Base, { linkIndex }: Json): NamespaceRecord | undefined {
  if (linkIndex !== undefined && typeof linkIndex !== "number") return undefined;
  const links = [{ name: "net0", outsideIndex: linkIndex }];
  return { ...base, undo: undoPlainVeth, links, settings: [], pool: [], publish: [] };
}
