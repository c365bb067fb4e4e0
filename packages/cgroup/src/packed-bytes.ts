/**
 * Represents bytes in JSON, with at most two bytes for each. JSON escapes most control characters
 * with six bytes, and names of cgroups may consist of them. So each control character, quotation
 * mark and backslash is replaced with the character whose code is higher by 256, which needs no
 * escape. No byte exceeds 255, so JSON of earlier versions, which has no replacements, keeps its
 * meaning. Pure.
 */
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are looked for
const ESCAPED = /[\u0000-\u001f"\\]/;
const SHIFTED = /[\u0100-\u01ff]/;

const QUOTATION_MARK = 0x22;
const BACKSLASH = 0x5c;

/** Returns the string that represents bytes in JSON. */
export function packBytes(bytes: ByteString): string {
  const text = latin1Of(bytes);
  if (!ESCAPED.test(text)) return text;
  const units = Buffer.from(text, "utf16le");
  for (let i = 0; i < units.length; i += 2) {
    const byte = units[i] ?? 0;
    if (byte < 0x20 || byte === QUOTATION_MARK || byte === BACKSLASH) units[i + 1] = 1;
  }
  return units.toString("utf16le");
}

/** Returns the bytes that a string in JSON represents. */
export function unpackBytes(text: string): ByteString {
  // Takes the lower byte of each code unit.
  return bytesOfLatin1(SHIFTED.test(text) ? Buffer.from(text, "latin1").toString("latin1") : text);
}
