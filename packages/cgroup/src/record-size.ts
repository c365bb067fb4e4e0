/** How much memory records take. Pure. */
import { latin1Of } from "@cm4all/linux";
import type { EncodedRecord } from "./record.ts";
import type { XattrTable } from "./snapshot.ts";

/** Of what is beside the text, about. */
const OBJECT_BYTES = 512;

/** Returns about how many bytes a record takes in memory. */
export function recordSize({ json }: EncodedRecord): number {
  return OBJECT_BYTES + json.length;
}

/** Returns how many bytes the names and values of attributes have. */
export function tableSize(table: XattrTable): number {
  let bytes = 0;
  for (const [name, value] of table) bytes += latin1Of(name).length + latin1Of(value).length;
  return bytes;
}
