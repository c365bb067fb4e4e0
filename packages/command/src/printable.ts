/**
 * Makes text from untrusted sources printable: a control character could forge lines or control
 * an administrator's terminal, and a change of the writing direction could make one text look like
 * another. Pure.
 */

/**
 * Control characters, separators of lines and paragraphs, and characters that are not visible
 * themselves, such as those that change the writing direction.
 */
const CONTROL = /[\p{C}\p{Zl}\p{Zp}]/gu;

/** Returns the text as one printable line. */
export function printable(text: string): string {
  return text.replace(CONTROL, escapeOf);
}

/** Returns the text as printable lines: line feeds and tabs stay. */
export function printableLines(text: string): string {
  return text.replace(CONTROL, (c) => (c === "\n" || c === "\t" ? c : escapeOf(c)));
}

/**
 * Returns a message of several lines, and its traceback, as one printable line: a bar separates
 * the lines.
 */
export function inOneLine(message: string, traceback = ""): string {
  const lines = `${message}\n${traceback}`
    .split("\n")
    .map((line) => line.replaceAll("\t", " ").trim());
  return printable(lines.filter((line) => line !== "").join(" | "));
}

function escapeOf(character: string): string {
  if (character === "\n") return "\\n";
  const code = (character.codePointAt(0) ?? 0).toString(16);
  return code.length > 2 ? `\\u{${code}}` : `\\x${code.padStart(2, "0")}`;
}
