/**
 * The tokens of a query string, as far as they are needed to find its commands and their words.
 * Pure. Strings may have millions of characters, so no pattern may backtrack over them.
 * @see PostgreSQL manual, "Lexical Structure"
 */

const BLANK = String.raw`[ \t\n\r\f\v]+`;
/** A comment up to the end of its line. Either a CR or an LF ends a line. */
const COMMENT = String.raw`--[^\n\r]*`;
const BLANKS = new RegExp(`${BLANK}|${COMMENT}`, "y");

const WORD = String.raw`[A-Za-z_\x80-\uffff][\w$\x80-\uffff]*`;
const DOLLAR = String.raw`\$(?:[A-Za-z_\x80-\uffff][\w\x80-\uffff]*)?\$`;

/**
 * A string or name without escapes. At a doubled quote, one token ends and another one begins.
 */
const QUOTED = `'[^']*'|"[^"]*"`;

const TOKEN = new RegExp(
  String.raw`(?<blank>${BLANK}|${COMMENT})|(?<comment>/\*)|(?<dollar>${DOLLAR})|(?<escaped>[eE]')|${QUOTED}|${WORD}|[\s\S]`,
  "y",
);

/**
 * Yields words, strings, quoted names and single characters, but no white space or comments.
 * @param hasBackslashes true if backslashes are escapes in all strings, not only in those that
 * begin with E
 */
export function* tokensOf(sql: string, hasBackslashes: boolean): Generator<string> {
  for (let at = 0; at < sql.length; ) {
    TOKEN.lastIndex = at;
    const { 0: token = "", groups: is = {} } = TOKEN.exec(sql) ?? {};
    const start = at;
    at += token.length;
    if (is["comment"] !== undefined) at = endOfComment(sql, at);
    else if (is["dollar"] !== undefined) at = endOf(sql, token, at);
    else if (is["escaped"] !== undefined) at = endOfEscaped(sql, at);
    else if (hasBackslashes && token.startsWith("'")) at = endOfEscaped(sql, start + 1);
    if (is["blank"] === undefined && is["comment"] === undefined) yield sql.slice(start, at);
  }
}

/** Returns the end of a comment, which may contain other comments. */
function endOfComment(sql: string, from: number): number {
  const marks = /\/\*|\*\//g;
  marks.lastIndex = from;
  let depth = 1;
  while (depth > 0) {
    const mark = marks.exec(sql);
    if (mark === null) return sql.length;
    depth += mark[0] === "/*" ? 1 : -1;
  }
  return marks.lastIndex;
}

function endOf(sql: string, mark: string, from: number): number {
  const at = sql.indexOf(mark, from);
  return at === -1 ? sql.length : at + mark.length;
}

/**
 * Returns the end of a string with escapes. A further quoted part that begins on a later line
 * belongs to the string.
 */
function endOfEscaped(sql: string, from: number): number {
  const marks = /\\[\s\S]|'/g;
  for (let at = from; ; ) {
    marks.lastIndex = at;
    const mark = marks.exec(sql);
    if (mark === null) return sql.length;
    at = marks.lastIndex;
    if (mark[0] !== "'") continue;
    const next = nextLine(sql, at);
    if (next === undefined) return at;
    at = next;
  }
}

/**
 * Returns the position at which the string continues: after another quote, which follows
 * immediately or on a later line. Returns undefined if the string ends.
 */
function nextLine(sql: string, from: number): number | undefined {
  let at = from;
  for (let blank: string | undefined; ; at += blank.length) {
    BLANKS.lastIndex = at;
    blank = BLANKS.exec(sql)?.[0];
    if (blank === undefined) break;
  }
  const isNext = sql[at] === "'" && (at === from || /[\n\r]/.test(sql.slice(from, at)));
  return isNext ? at + 1 : undefined;
}
