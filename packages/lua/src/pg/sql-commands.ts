/**
 * The commands that a text of SQL holds, by their first words. Pure.
 * @see PostgreSQL manual, "Lexical Structure"
 */

/** Blanks and comments, strings, quoted names, dollar quotes; else one character. */
const TOKEN =
  /\s+|--[^\n]*|(\/\*)|[eE]'(?:[^'\\]|\\[\s\S]|'')*'|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$(?:[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)?\$)|[A-Za-z_\u0080-\uffff][\w$\u0080-\uffff]*|[\s\S]/y;

/** Returns for each command its words up to the first that is none, in capitals. */
export function commandsOf(sql: string): string[] {
  const commands: string[] = [];
  let words: string[] = [];
  let isOpen = true;
  const end = () => {
    if (words.length > 0) commands.push(words.join(" "));
    words = [];
    isOpen = true;
  };
  for (let at = 0; at < sql.length; ) {
    TOKEN.lastIndex = at;
    const [token = "", comment, dollar] = TOKEN.exec(sql) ?? [];
    at += token.length;
    if (comment !== undefined) at = endOfComment(sql, at);
    else if (dollar !== undefined) at = endOf(sql, dollar, at);
    else if (token === ";") {
      end();
      continue;
    }
    if (comment !== undefined || /^(?:\s|--)/.test(token)) continue;
    if (isOpen && /^[A-Za-z]+$/.test(token)) words.push(token.toUpperCase());
    else {
      // A command that begins with none, such as "(SELECT ...)".
      if (words.length === 0) words.push("");
      isOpen = false;
    }
  }
  end();
  return commands;
}

/** Comments of SQL hold others. */
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
