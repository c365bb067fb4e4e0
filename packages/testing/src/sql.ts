/** Reads SQL files that are written for psql(1). */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/**
 * Returns the SQL that psql would send to the server for a file: `\ir` is replaced by the file that
 * it includes, and `\set` is left out.
 */
export function readSql(path: string): string {
  return readFileSync(path, "utf8").replace(/^\\(\w+) (.*)$/gm, (line, command, argument) => {
    if (command === "ir") return readSql(join(dirname(path), argument));
    if (command === "set") return "";
    throw new Error(`${path}: only psql can do ${line}`);
  });
}
