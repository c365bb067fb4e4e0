/** Messages of the server in the words of libpq. Pure. @see PQresultErrorMessage */

/** The fields of an error or notice that are shown, as node-postgres names them. */
export interface ServerMessage {
  severity?: string | undefined;
  message?: string | undefined;
  detail?: string | undefined;
  hint?: string | undefined;
  /** The position in the statement, in characters, counted from 1. */
  position?: string | undefined;
  internalPosition?: string | undefined;
  internalQuery?: string | undefined;
  where?: string | undefined;
}

/** Returns libpq's text with the default verbosity, including its newline at the end. */
export function formatServerMessage(message: ServerMessage, sql: string | undefined): string {
  let text = `${message.severity ?? "ERROR"}:  ${message.message ?? "missing error text"}\n`;
  if (message.position !== undefined && sql !== undefined)
    text += showPosition(sql, Number(message.position));
  else if (message.internalPosition !== undefined && message.internalQuery !== undefined)
    text += showPosition(message.internalQuery, Number(message.internalPosition));
  if (message.detail !== undefined) text += `DETAIL:  ${message.detail}\n`;
  if (message.hint !== undefined) text += `HINT:  ${message.hint}\n`;
  if (message.internalQuery !== undefined) text += `QUERY:  ${message.internalQuery}\n`;
  if (message.where !== undefined) text += `CONTEXT:  ${message.where}\n`;
  return text;
}

/** The number of characters of a long line that are shown. */
const WIDTH = 60;
/** The minimum number of characters shown from the mistake on, unless the line ends earlier. */
const RIGHT = 10;

/** Returns the line with the mistake, and a caret below it. */
function showPosition(sql: string, position: number): string {
  const characters = [...sql];
  const at = position - 1;
  if (at < 0 || at > characters.length) return "";
  const lineNumber = characters.slice(0, at).filter((c) => c === "\n").length + 1;
  const begin = characters.lastIndexOf("\n", at - 1) + 1;
  const newline = characters.indexOf("\n", at);
  const line = characters.slice(begin, newline === -1 ? undefined : newline);
  const caret = at - begin;

  let from = 0;
  let to = line.length;
  if (line.length > WIDTH) {
    if (caret + RIGHT <= WIDTH) {
      to = WIDTH;
    } else {
      to = Math.min(line.length, caret + RIGHT);
      from = Math.max(0, to - WIDTH);
    }
  }
  const prefix = `LINE ${lineNumber}: ${from > 0 ? "..." : ""}`;
  const shown = line.slice(from, to).map((c) => (c === "\t" ? " " : c));
  const cut = to < line.length ? "..." : "";
  return `${prefix}${shown.join("")}${cut}\n${" ".repeat(prefix.length + caret - from)}^\n`;
}
