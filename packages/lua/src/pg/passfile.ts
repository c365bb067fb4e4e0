/** `~/.pgpass`. @see PostgreSQL manual, "The Password File" */
import { readFileSync, type Stats, statSync } from "node:fs";

export interface PasswordKey {
  readonly host: string;
  readonly port: string;
  readonly database: string;
  readonly user: string;
}

/** A field ends at a `:` without a `\` before it. */
const FIELD = /((?:\\.|[^:\\]|\\$)*)(?::|$)/y;

/** Returns the password in the first line that matches the key. Pure. */
export function findPassword(text: string, key: PasswordKey): string | undefined {
  for (const line of text.split("\n")) {
    if (line.startsWith("#")) continue;
    const fields = splitFields(line.replace(/\r$/, ""));
    const [host, port, database, user, password] = fields;
    if (password === undefined) continue;
    const fits = (field: string | undefined, value: string) =>
      field === "*" || unescapeField(field ?? "") === value;
    if (
      fits(host, key.host) &&
      fits(port, key.port) &&
      fits(database, key.database) &&
      fits(user, key.user)
    )
      return unescapeField(password);
  }
  return undefined;
}

/**
 * Splits a line. As in libpq, text after the fifth field is ignored: a `:` in a password needs
 * a `\`, too.
 */
function splitFields(line: string): string[] {
  const fields: string[] = [];
  FIELD.lastIndex = 0;
  while (fields.length < 5) {
    const match = FIELD.exec(line);
    if (match === null) break;
    fields.push(match[1] ?? "");
    if (!match[0].endsWith(":")) break;
  }
  return fields;
}

function unescapeField(field: string): string {
  return field.replace(/\\(.)/g, "$1");
}

/** Returns the status of a file; undefined if there is no such file, or if we may not see it. */
function statFile(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}

/**
 * Returns the password for a server; undefined if there is none.
 * @param warn called with libpq's warning about a file that is ignored
 */
export function readPassword(
  path: string,
  key: PasswordKey,
  warn: (text: string) => void,
): string | undefined {
  const stats = statFile(path);
  if (stats === undefined) return undefined;
  if (!stats.isFile()) {
    warn(`WARNING: password file "${path}" is not a plain file\n`);
    return undefined;
  }
  if ((stats.mode & 0o077) !== 0) {
    warn(
      `WARNING: password file "${path}" has group or world access; permissions should be u=rw (0600) or less\n`,
    );
    return undefined;
  }
  try {
    return findPassword(readFileSync(path, "utf8"), key);
  } catch {
    // We may not read the file, so there is no password.
    return undefined;
  }
}
