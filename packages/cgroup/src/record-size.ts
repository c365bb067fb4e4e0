/** Estimates the memory that records take. Pure. */
import { latin1Of } from "@cm4all/linux";
import type { EncodedRecord } from "./record.ts";
import type { XattrTable } from "./snapshot.ts";

/** The approximate size of a record without its text. */
const OBJECT_BYTES = 512;

/**
 * Matches a character that makes V8 store the whole string with two bytes for each character. One
 * control character, quotation mark or backslash in a customer's text is enough, because
 * packed-bytes.ts replaces it with such a character.
 */
const WIDE = /[\u0100-\uffff]/;

/** Returns the approximate number of bytes that a record takes in memory. */
export function recordSize({ json }: EncodedRecord): number {
  return OBJECT_BYTES + (WIDE.test(json) ? 2 : 1) * json.length;
}

/** Returns the number of bytes in the names and values of attributes. */
export function tableSize(table: XattrTable): number {
  let bytes = 0;
  for (const [name, value] of table) bytes += latin1Of(name).length + latin1Of(value).length;
  return bytes;
}
