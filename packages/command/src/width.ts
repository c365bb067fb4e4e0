/** The width of printable text on a terminal. Pure. */
import { eastAsianWidth } from "get-east-asian-width";

/**
 * Returns the number of columns that a printable text (see printable.ts) takes up. Terminals differ
 * for sequences that are drawn as one sign, such as an emoji with a skin tone.
 * @see wcwidth(3); Unicode Standard Annex #11, East Asian Width
 */
export function widthOf(text: string): number {
  if (ASCII.test(text)) return text.length;
  let width = 0;
  for (const character of text) width += widthOfCharacter(character);
  return width;
}

const ASCII = /^[ -~]*$/;

/** Signs that are drawn on the character before them. */
const COMBINING = /^[\p{Mn}\p{Me}]$/u;

function widthOfCharacter(character: string): number {
  return COMBINING.test(character) ? 0 : eastAsianWidth(character.codePointAt(0) ?? 0);
}

/** Returns the beginning of a printable text that fits into `columns`. */
export function fitting(text: string, columns: number): string {
  let width = 0;
  let end = 0;
  for (const character of text) {
    width += widthOfCharacter(character);
    if (width > columns) break;
    end += character.length;
  }
  return text.slice(0, end);
}

/** Returns the text with blanks after it, up to a width. */
export function padEnd(text: string, columns: number): string {
  return text + " ".repeat(Math.max(0, columns - widthOf(text)));
}

/** Returns the text with blanks before it, up to a width. */
export function padStart(text: string, columns: number): string {
  return " ".repeat(Math.max(0, columns - widthOf(text))) + text;
}
