/** `~/.pgpass`. @see PostgreSQL manual, "The Password File" */
import { readFileSync, statSync } from "node:fs";

export interface PasswordKey {
  host: string;
  port: string;
  database: string;
  user: string;
}

/** The first password whose line fits. Pure. */
export function findPassword(text: string, key: PasswordKey): string | undefined {
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith("#")) continue;
    // `\:` and `\\` stand for the character; the password goes on to the end of the line.
    const fields =
      /^((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):((?:[^:\\]|\\.)*):(.*)$/.exec(line);
    if (fields === null) continue;
    const [, host, port, database, user, password] = fields.map((field) =>
      field.replace(/\\(.)/g, "$1"),
    );
    const fits = (field: string | undefined, value: string) => field === "*" || field === value;
    if (
      fits(host, key.host) &&
      fits(port, key.port) &&
      fits(database, key.database) &&
      fits(user, key.user)
    )
      return password;
  }
  return undefined;
}

/** As libpq, ignores a file that others may read. */
export function readPassword(path: string, key: PasswordKey): string | undefined {
  try {
    const { mode } = statSync(path);
    if ((mode & 0o077) !== 0) return undefined;
    return findPassword(readFileSync(path, "utf8"), key);
  } catch {
    // No such file, or not ours to read: there is no password then.
    return undefined;
  }
}
