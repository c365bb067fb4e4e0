/** Numbers as text, the way LuaJIT reads and writes them. Pure. */

/** Formats a number as C does for `%.<precision>g`; `keepZeros` is the flag `#`. */
export function formatG(value: number, precision: number, keepZeros = false): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const minus = value < 0 || Object.is(value, -0) ? "-" : "";
  const digits = Math.max(precision, 1);
  const [mantissa = "", exponentDigits = "0"] = Math.abs(value)
    .toExponential(digits - 1)
    .split("e");
  const exponent = Number(exponentDigits);
  if (exponent < -4 || exponent >= digits) {
    const kept = mantissa.includes(".") ? mantissa : `${mantissa}.`;
    return minus + (keepZeros ? kept : trim(mantissa)) + exponentText(exponent);
  }
  const fixed = formatF(Math.abs(value), Math.min(digits - 1 - exponent, 100));
  if (keepZeros) return minus + (fixed.includes(".") ? fixed : `${fixed}.`);
  return minus + trim(fixed);
}

/** Formats a number as C does for `%.<precision>e`. */
export function formatE(value: number, precision: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const [mantissa = "", exponent = "0"] = value.toExponential(precision).split("e");
  return (Object.is(value, -0) ? "-" : "") + mantissa + exponentText(Number(exponent));
}

/** Formats a number as C does for `%.<precision>f`. */
export function formatF(value: number, precision: number): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const minus = value < 0 || Object.is(value, -0) ? "-" : "";
  const magnitude = Math.abs(value);
  // From 1e21 on, toFixed() writes an exponent; such numbers have no fraction.
  if (magnitude >= 1e21)
    return (
      minus + BigInt(magnitude).toString() + (precision > 0 ? `.${"0".repeat(precision)}` : "")
    );
  return minus + magnitude.toFixed(precision);
}

/**
 * Formats a number as C does for `%a`, or for `%.<precision>a`; `keepPoint` is the flag `#`, with
 * which the result always has a point.
 */
export function formatA(value: number, precision?: number, keepPoint = false): string {
  const special = formatSpecial(value);
  if (special !== undefined) return special;
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const bits = view.getBigUint64(0);
  const biased = Number((bits >> 52n) & 0x7ffn);
  const exponent = biased === 0 ? (bits << 1n === 0n || value === 0 ? 0 : -1022) : biased - 1023;
  const all = (bits & 0xfffffffffffffn) | (biased === 0 ? 0n : 1n << 52n);
  const digits = Math.min(precision ?? 13, 13);
  // The number is rounded to `digits` hexadecimal digits after the point; the digit before the
  // point may become 2.
  const dropped = BigInt(4 * (13 - digits));
  const half = dropped === 0n ? 0n : 1n << (dropped - 1n);
  const rounded = (all + half) >> dropped;
  const lead = rounded >> BigInt(4 * digits);
  const tail = (rounded & ((1n << BigInt(4 * digits)) - 1n)).toString(16).padStart(digits, "0");
  const kept = digits === 0 ? "" : tail;
  const fraction = precision === undefined ? kept.replace(/0+$/, "") : kept.padEnd(precision, "0");
  const minus = bits >> 63n ? "-" : "";
  const point = fraction !== "" || keepPoint ? "." : "";
  return `${minus}0x${lead}${point}${fraction}p${exponent < 0 ? "" : "+"}${exponent}`;
}

function formatSpecial(value: number): string | undefined {
  if (Number.isNaN(value)) return "nan";
  if (value === Number.POSITIVE_INFINITY) return "inf";
  if (value === Number.NEGATIVE_INFINITY) return "-inf";
  return undefined;
}

function exponentText(exponent: number): string {
  return `e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** Removes trailing zeros after the point. */
function trim(digits: string): string {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/** Formats a number as `tostring` does: `%.14g`, or all digits if it is an integer below 1e14. */
export function numberToText(value: number): string {
  if (Number.isInteger(value) && Math.abs(value) < 1e14 && !Object.is(value, -0))
    return String(value);
  return formatG(value, 14);
}

/**
 * Returns the number that the whole text stands for; blanks around it are allowed. Returns
 * undefined if the text is not a number.
 */
export function textToNumber(text: string): number | undefined {
  const body = trimBlanks(text);
  // The patterns must not backtrack over digits: the text may have any length.
  if (/^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(body)) return Number(body);
  const [, minus, digits] = /^([+-]?)(.*)$/s.exec(body) ?? [];
  if (digits === undefined) return undefined;
  const magnitude = hexadecimal(digits) ?? binary(digits) ?? word(digits);
  return magnitude === undefined ? undefined : minus === "-" ? -magnitude : magnitude;
}

const isBlank = (c: number) => c === 0x20 || (c >= 9 && c <= 13);

/** Removes blanks, in the sense of isspace(3), at both ends. */
export function trimBlanks(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isBlank(text.charCodeAt(start))) start++;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

function hexadecimal(digits: string): number | undefined {
  const match = /^0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?\d+))?$/.exec(digits);
  if (match === null) return undefined;
  const [, whole = "", fraction = "", exponent = "0"] = match;
  if (whole + fraction === "") return undefined;
  const value = digitsToNumber(whole + fraction, 16) ?? 0;
  // In two steps: the power of 2 alone may be too small for a double where the product is not.
  const power = Number(exponent) - 4 * fraction.length;
  const half = Math.trunc(power / 2);
  return value * 2 ** half * 2 ** (power - half);
}

function binary(digits: string): number | undefined {
  const match = /^0[bB]([01]+)$/.exec(digits);
  return match?.[1] === undefined ? undefined : Number.parseInt(match[1], 2);
}

/** The length of the longest word for a number. */
const LONGEST_WORD = "infinity".length;

function word(digits: string): number | undefined {
  if (digits.length > LONGEST_WORD) return undefined;
  const name = digits.toLowerCase();
  if (name === "inf" || name === "infinity") return Number.POSITIVE_INFINITY;
  return name === "nan" ? Number.NaN : undefined;
}

/**
 * Returns the value of digits and letters in a base up to 36; undefined if one of them is not a
 * digit of that base.
 */
export function digitsToNumber(digits: string, base: number): number | undefined {
  let value = 0;
  for (let at = 0; at < digits.length; at++) {
    const code = digits.charCodeAt(at);
    // Lower-case letters differ from upper-case letters in the bit 0x20.
    const digit = code <= NINE ? code - ZERO : (code | 0x20) - LETTER_A + 10;
    if (digit >= base) return undefined;
    value = value * base + digit;
  }
  return value;
}

const ZERO = 0x30;
const NINE = 0x39;
const LETTER_A = 0x61;

/**
 * Converts a number to a 32-bit integer, as LuaJIT does for arguments: the fraction is cut off, and
 * NaN and numbers out of range become the lowest integer.
 */
export function truncate(value: number): number {
  return value > -2147483649 && value < 2147483648 ? Math.trunc(value) : -2147483648;
}
