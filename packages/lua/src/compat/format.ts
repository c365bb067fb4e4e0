/** One conversion of `string.format`, on plain values. Pure. */
import { formatA, formatE, formatF, formatG } from "./numbers.ts";

export interface Conversion {
  flags: string;
  width: number;
  /** undefined where the conversion names none. */
  precision: number | undefined;
  letter: string;
}

export type Piece = { text: string } | { conversion: Conversion };

/** Thrown for a conversion that does not exist. */
export class FormatError extends Error {
  override name = "FormatError";
}

/** Splits a format into texts and conversions. @throws FormatError */
export function parseFormat(format: string): Piece[] {
  const pieces: Piece[] = [];
  let position = 0;
  while (position < format.length) {
    const percent = format.indexOf("%", position);
    if (percent === -1) {
      pieces.push({ text: format.slice(position) });
      break;
    }
    if (percent > position) pieces.push({ text: format.slice(position, percent) });
    if (format[percent + 1] === "%") {
      pieces.push({ text: "%" });
      position = percent + 2;
      continue;
    }
    const match = /^%([-+ #0]*)(\d{0,2})(?:\.(\d{0,2}))?([diuoxXcsqpaAeEfFgG])/.exec(
      format.slice(percent),
    );
    if (match === null) {
      const bad = /^%[-+ #0]*\d{0,2}(?:\.\d{0,2})?[\s\S]?/.exec(format.slice(percent))?.[0] ?? "%";
      throw new FormatError(`invalid option '${bad}' to 'format'`);
    }
    const [whole, flags = "", width = "", precision, letter = ""] = match;
    pieces.push({
      conversion: {
        flags,
        width: Number(width),
        precision: precision === undefined ? undefined : Number(precision),
        letter,
      },
    });
    position = percent + whole.length;
  }
  return pieces;
}

/** `%d`, `%i`: the number without its fraction, 64 bits. */
export function formatInteger(value: number, conversion: Conversion): string {
  const n = toInt64(value);
  return padNumber(n < 0n ? "-" : "", digits(n < 0n ? -n : n, 10, conversion), conversion);
}

/** `%u`, `%o`, `%x`, `%X`: 64 bits, negative numbers as their complement. */
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

/** `%a`, `%e`, `%f`, `%g` and their capitals. */
export function formatFloat(value: number, conversion: Conversion): string {
  const { letter, precision = 6, flags } = conversion;
  const text = floatText(value, letter.toLowerCase(), precision, flags.includes("#"));
  const minus = text.startsWith("-") ? "-" : "";
  const body = text.slice(minus.length);
  const padded = padNumber(minus, body, {
    ...conversion,
    precision: undefined,
    flags: Number.isFinite(value) ? flags : flags.replaceAll("0", ""),
  });
  return letter === letter.toUpperCase() ? padded.toUpperCase() : padded;
}

function floatText(value: number, letter: string, precision: number, keep: boolean): string {
  switch (letter) {
    case "a":
      return formatA(value);
    case "e":
      return formatE(value, precision);
    case "f":
      return formatF(value, precision);
    default:
      return formatG(value, precision, keep);
  }
}

/** `%s`, `%c`: cut to the precision and padded to the width, in bytes. */
export function formatString(text: string, { flags, width, precision }: Conversion): string {
  const cut = precision === undefined ? text : text.slice(0, precision);
  return flags.includes("-") ? cut.padEnd(width) : cut.padStart(width);
}

/** `%q`: a string that Lua reads back. */
export function quote(text: string): string {
  const body = text.replace(/["\\]|\p{Cc}/gu, (c, at: number) => {
    const code = c.charCodeAt(0);
    if (code >= 0x80) return c;
    if (c === '"' || c === "\\" || c === "\n") return `\\${c}`;
    const followed = /\d/.test(text[at + 1] ?? "");
    return `\\${followed ? String(code).padStart(3, "0") : code}`;
  });
  return `"${body}"`;
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
