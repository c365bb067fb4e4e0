/** One conversion of `string.format`, on plain values. Pure. */
import { formatA, formatE, formatF, formatG } from "./numbers.ts";

export interface Conversion {
  flags: string;
  width: number;
  /** Undefined if the conversion gives none. */
  precision: number | undefined;
  letter: string;
}

export type Piece = { text: string } | { conversion: Conversion };

/** Thrown for a conversion that does not exist. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** Returns the text or conversion at a position of a format, and its end. @throws FormatError */
export function pieceAt(format: string, position: number): Piece & { end: number } {
  const percent = format.indexOf("%", position);
  if (percent === -1) return { text: format.slice(position), end: format.length };
  if (percent > position) return { text: format.slice(position, percent), end: percent };
  if (format[percent + 1] === "%") return { text: "%", end: percent + 2 };
  CONVERSION.lastIndex = percent;
  const match = CONVERSION.exec(format);
  if (match === null) {
    BAD_CONVERSION.lastIndex = percent;
    const bad = BAD_CONVERSION.exec(format)?.[0] ?? "%";
    throw new FormatError(`invalid option '${bad}' to 'format'`);
  }
  const [whole, flags = "", width = "", precision, letter = ""] = match;
  return {
    conversion: {
      flags,
      width: Number(width),
      precision: precision === undefined ? undefined : Number(precision),
      letter,
    },
    end: percent + whole.length,
  };
}

const CONVERSION = /%([-+ #0]*)(\d{0,2})(?:\.(\d{0,2}))?([diuoxXcsqpaAeEfFgG])/y;
const BAD_CONVERSION = /%[-+ #0]*\d{0,2}(?:\.\d{0,2})?[\s\S]?/y;

/** Formats `%d`, `%i`: the number as a 64-bit integer, without its fraction. */
export function formatInteger(value: number, conversion: Conversion): string {
  const n = toInt64(value);
  return padNumber(n < 0n ? "-" : "", digits(n < 0n ? -n : n, 10, conversion), conversion);
}

/** Formats `%u`, `%o`, `%x`, `%X`: the number as 64 bits, in two's complement if it is negative. */
export function formatUnsigned(value: number, conversion: Conversion): string {
  const beyondSigned = value >= 2 ** 63 && value < 2 ** 64 + 2 ** 63;
  const n = BigInt.asUintN(64, beyondSigned ? BigInt(value) : toInt64(value));
  const { letter, flags } = conversion;
  const plain = { ...conversion, flags: flags.replace(/[+ ]/g, "") };
  if (letter === "u") return padNumber("", digits(n, 10, conversion), plain);
  if (letter === "o") {
    const octal = digits(n, 8, conversion);
    return padNumber(flags.includes("#") && !octal.startsWith("0") ? "0" : "", octal, plain);
  }
  const prefix = flags.includes("#") && n !== 0n ? "0x" : "";
  const text = padNumber(prefix, digits(n, 16, conversion), plain);
  return letter === "X" ? text.toUpperCase() : text;
}

/** Formats `%a`, `%e`, `%f`, `%g`, and the same letters in upper case. */
export function formatFloat(value: number, conversion: Conversion): string {
  const { letter, precision = 6, flags } = conversion;
  const keep = flags.includes("#");
  const text = floatText(value, letter.toLowerCase(), precision, keep, conversion.precision);
  const minus = text.startsWith("-") ? "-" : "";
  const body = text.slice(minus.length);
  const padded = padNumber(minus, body, {
    ...conversion,
    precision: undefined,
    flags: Number.isFinite(value) ? flags : flags.replace(Number.isNaN(value) ? /[0+]/g : /0/g, ""),
  });
  return letter === letter.toUpperCase() ? padded.toUpperCase() : padded;
}

/**
 * Returns the number as text, without padding.
 * @param exact the precision if the conversion gives one; used for `%a`, which has no default
 */
function floatText(
  value: number,
  letter: string,
  precision: number,
  keep: boolean,
  exact: number | undefined,
): string {
  switch (letter) {
    case "a":
      return formatA(value, exact, keep);
    case "e":
      return withPoint(formatE(value, precision), keep);
    case "f":
      return withPoint(formatF(value, precision), keep);
    default:
      return formatG(value, precision, keep);
  }
}

/** Adds the decimal point that the flag `#` asks for even if no digit follows it. */
function withPoint(text: string, wanted: boolean): string {
  return wanted && !text.includes(".") ? text.replace(/^(-?\d+)/, "$1.") : text;
}

/** Formats `%s`, `%c`: cut to the precision and padded to the width, in bytes. */
export function formatString(text: string, { flags, width, precision }: Conversion): string {
  const cut = precision === undefined ? text : text.slice(0, precision);
  return flags.includes("-") ? cut.padEnd(width) : cut.padStart(width);
}

/** Formats `%q`: a string that Lua can read back. @param add called with each piece of it */
export function quote(text: string, add: (piece: string) => void): void {
  add('"');
  let copied = 0;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    const isControl = code < 0x20 || code === 0x7f;
    if (!isControl && code !== 0x22 && code !== 0x5c) continue;
    add(text.slice(copied, at));
    copied = at + 1;
    if (!isControl || code === 0x0a) {
      add(`\\${text[at]}`);
      continue;
    }
    const next = text.charCodeAt(at + 1);
    const followed = next >= 0x30 && next <= 0x39;
    add(`\\${followed ? String(code).padStart(3, "0") : code}`);
  }
  add(`${text.slice(copied)}"`);
}

function toInt64(value: number): bigint {
  if (Number.isNaN(value) || Math.abs(value) >= 2 ** 63) return -(2n ** 63n);
  return BigInt(Math.trunc(value));
}

function digits(n: bigint, radix: number, { precision }: Conversion): string {
  if (precision === 0 && n === 0n) return "";
  return n.toString(radix).padStart(precision ?? 1, "0");
}

function padNumber(prefix: string, body: string, { flags, width, precision }: Conversion): string {
  const signed = prefix === "" && /[+ ]/.test(flags) ? (flags.includes("+") ? "+" : " ") : prefix;
  if (flags.includes("-")) return (signed + body).padEnd(width);
  if (flags.includes("0") && precision === undefined)
    return signed + body.padStart(width - signed.length, "0");
  return (signed + body).padStart(width);
}
