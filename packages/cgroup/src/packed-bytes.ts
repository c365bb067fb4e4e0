/**
 * Bytes in JSON, in two bytes for each at most. JSON has six for a control character, and names of
 * cgroups may consist of these: they, the quotation mark and the backslash stand as the character
 * 256 places further on, which needs no escape. As bytes have characters up to 255, JSON without
 * such ones (of earlier versions) means what it says. Pure.
 */
import { type ByteString, bytesOfLatin1, latin1Of } from "@cm4all/linux";

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what it is about
const ESCAPED = /[\u0000-\u001f"\\]/;
const SHIFTED = /[\u0100-\u01ff]/;

const QUOTATION_MARK = 0x22;
const BACKSLASH = 0x5c;

/** Returns the text that stands for bytes in JSON. */
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

/** Returns the bytes that a text in JSON stands for. */
export function unpackBytes(text: string): ByteString {
  // The lower byte of each of its units is the byte.
  return bytesOfLatin1(SHIFTED.test(text) ? Buffer.from(text, "latin1").toString("latin1") : text);
}
