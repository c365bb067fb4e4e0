/** Bounds the path in a record, because a tree may have any depth. Pure. */
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";
import type { CgroupRecord } from "./snapshot.ts";

/**
 * The greatest length of a path. As JSON, a path takes at most twice as many bytes, which is an
 * eighth of the largest record that a journal accepts.
 */
export const MAX_PATH_BYTES = 1024 * 1024;

/**
 * Returns the record itself if its path is not too long. Otherwise returns a record with the path
 * of the nearest ancestor whose path is not too long, and with the attributes of that ancestor and
 * of the cgroups above it.
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
