/** Bounds the path in a record: a tree may be as deep as somebody likes. Pure. */
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";
import type { CgroupRecord } from "./snapshot.ts";

/** As JSON it has twice as many bytes at most: an eighth of what a journal takes. */
export const MAX_PATH_BYTES = 1024 * 1024;

/**
 * Returns the record as one of the nearest cgroup above whose path is not too long, with
 * the attributes from there on; the same one if its own is not.
 */
export function limitPath(record: CgroupRecord): CgroupRecord {
  const { snapshot, xattrs } = record;
  const path = latin1Of(snapshot.path);
  if (path.length <= MAX_PATH_BYTES) return record;
  const end = path.lastIndexOf("/", MAX_PATH_BYTES);
  const levels = path.slice(end).split("/").length - 1;
  const shortened: ByteString = bytesOfLatin1(path.slice(0, end));
  return { snapshot: { ...snapshot, path: shortened }, xattrs: xattrs.slice(levels) };
}
