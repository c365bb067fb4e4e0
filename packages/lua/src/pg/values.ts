/** Lua's values as text for the server, and text as bytes. Pure. */
import { isUtf8 } from "node:buffer";

/** Returns the shortest text that is read as the same number, in the notation of C. */
export function numberToParameter(n: number): string {
  if (Number.isNaN(n)) return "nan";
  if (!Number.isFinite(n)) return n > 0 ? "inf" : "-inf";
  if (Object.is(n, -0)) return "-0";
  const magnitude = Math.abs(n);
  if (n === 0 || (magnitude >= 1e-4 && magnitude < 1e16)) return String(n);
  const [mantissa = "", exponent = "0"] = n.toExponential().split("e");
  const sign = exponent.startsWith("-") ? "-" : "+";
  return `${mantissa}e${sign}${exponent.replace(/^[+-]/, "").padStart(2, "0")}`;
}

/** Returns the text up to its first NUL, at which a string ends for libpq. */
export function cutAtNul(text: string): string {
  const end = text.indexOf("\0");
  return end === -1 ? text : text.slice(0, end);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Decodes a binary string. @throws InvalidUtf8 */
export function decodeUtf8(binary: string): string {
  const bytes = Buffer.from(binary, "latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    throw new InvalidUtf8(bytes);
  }
}

/** Encodes a text as a binary string. */
export function encodeUtf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** The server's error for bytes that are not UTF-8. */
export class InvalidUtf8 extends Error {
  override name = "InvalidUtf8";

  constructor(bytes: Buffer) {
    const shown = invalidSequence(bytes).map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
    super(`ERROR:  invalid byte sequence for encoding "UTF8": ${shown.join(" ")}\n`);
  }
}

/** The number of bytes that are checked in each step of the search for invalid bytes. */
const BLOCK = 4096;

/** Returns the bytes of the first sequence that is not UTF-8. */
function invalidSequence(bytes: Buffer): number[] {
  for (let i = firstInvalidBlock(bytes); i < bytes.length; ) {
    const first = bytes[i] ?? 0;
    const length = sequenceLength(first);
    const sequence = [...bytes.subarray(i, i + length)];
    try {
      decoder.decode(Uint8Array.from(sequence));
    } catch {
      return sequence;
    }
    i += length;
  }
  return [];
}

/**
 * Returns the index of a sequence that is the first invalid one, or precedes it by less than a
 * block.
 */
function firstInvalidBlock(bytes: Buffer): number {
  for (let start = 0; ; ) {
    let end = start + BLOCK;
    while (isContinuation(bytes[end])) end--;
    if (end <= start || end >= bytes.length || !isUtf8(bytes.subarray(start, end))) return start;
    start = end;
  }
}

const isContinuation = (byte: number | undefined) => byte !== undefined && (byte & 0xc0) === 0x80;

/** Returns the length of a sequence from its first byte; 1 if no sequence begins with this byte. */
function sequenceLength(first: number): number {
  if (first < 0xc0 || first >= 0xf8) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
