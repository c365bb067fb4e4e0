/** Encodes lines as a frame that fits a terminal, and scrolls if there are too many. Pure. */
import { fitting } from "./width.ts";

const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_REST = "\x1b[J";
const REVERSE = "\x1b[7m";
const PLAIN = "\x1b[m";

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/**
 * Returns the bytes of a frame, with each line cut off at the right edge. If there are more lines
 * than rows, the last row shows which lines are visible.
 * @param first the index of the first visible line, see `scroll`
 * @param hint the text about keys in the last row
 */
export function encodeFrame(
  lines: readonly string[],
  { columns, rows }: Size,
  first = 0,
  hint = "",
): string {
  const cut = (line: string) => fitting(line, columns);
  if (lines.length <= rows)
    return HOME + lines.map(cut).join(END_OF_LINE) + CLEAR_LINE + CLEAR_REST;
  const shown = lines.slice(first, first + rows - 1);
  const position = `lines ${first + 1}-${first + shown.length} of ${lines.length}${hint}`;
  const last = `${REVERSE}${cut(position)}${PLAIN}`;
  return HOME + [...shown.map(cut), last].join(END_OF_LINE) + CLEAR_LINE + CLEAR_REST;
}

const END_OF_LINE = `${CLEAR_LINE}\r\n`;

/** The hint for the last row if keys are read. */
export const SCROLL_HINT = ": Up, Down, Page Up, Page Down";

/** The keys that scroll, as terminals send them. @see console_codes(4), terminfo(5) */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the terminal sends them
const KEY = /\x1b(?:[[O]([AB])|\[([56])~)/g;

/**
 * Returns the index of the first line to show after keys were typed. No row stays empty unless
 * there are fewer lines than rows.
 * @param first the index before the keys were typed
 * @param typed what the terminal has sent; empty if only the number of lines or the size changed
 */
export function scroll(first: number, typed: string, count: number, { rows }: Size): number {
  const steps: Readonly<Record<string, number>> = { A: -1, B: 1, 5: 1 - rows, 6: rows - 1 };
  const greatest = count <= rows ? 0 : count - (rows - 1);
  const clamp = (index: number) => Math.min(Math.max(index, 0), greatest);
  return [...typed.matchAll(KEY)].reduce(
    (index, [, arrow, page]) => clamp(index + (steps[arrow ?? page ?? ""] ?? 0)),
    clamp(first),
  );
}
