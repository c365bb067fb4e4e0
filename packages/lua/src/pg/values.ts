/** Lua's values as text for the server, and text as bytes. Pure. */

/** The shortest text that gives the number back, in the notation of C's shortest conversion. */
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

/** The text up to its first NUL, where a string ends for libpq. */
export function cutAtNul(text: string): string {
  const end = text.indexOf("\0");
  return end === -1 ? text : text.slice(0, end);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** A binary string as characters. @throws InvalidUtf8 */
export function decodeUtf8(binary: string): string {
  const bytes = Buffer.from(binary, "latin1");
  try {
    return decoder.decode(bytes);
  } catch {
    throw new InvalidUtf8(bytes);
  }
}

/** Characters as a binary string. */
export function encodeUtf8(text: string): string {
  return Buffer.from(text).toString("latin1");
}

/** What the server says of such bytes. */
export class InvalidUtf8 extends Error {
  override name = "InvalidUtf8";

  constructor(bytes: Buffer) {
    const shown = invalidSequence(bytes).map((byte) => `0x${byte.toString(16).padStart(2, "0")}`);
    super(`ERROR:  invalid byte sequence for encoding "UTF8": ${shown.join(" ")}\n`);
  }
}

/** The bytes of the first sequence that is not UTF-8. */
function invalidSequence(bytes: Buffer): number[] {
  for (let i = 0; i < bytes.length; ) {
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

/** By its first byte; a byte that begins none counts alone. */
function sequenceLength(first: number): number {
  if (first < 0xc0 || first >= 0xf8) return 1;
  return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}
