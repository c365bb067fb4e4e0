/** Connection services. @see PostgreSQL manual, "The Connection Service File" */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConninfoError, isOption, type Parameters } from "./options.ts";

/** The directory in which Debian's libpq looks for the system-wide service file. */
const SYSTEM_DIRECTORY = "/etc/postgresql-common";

export interface ServiceFiles {
  /** The file that the user has named; it has to exist. */
  readonly own: string | undefined;
  readonly home: string | undefined;
  /** `PGSYSCONFDIR` */
  readonly system: string | undefined;
}

/** Returns the options of a service. @throws ConninfoError if no file defines it */
export function readService(name: string, { own, home, system }: ServiceFiles): Parameters {
  const users = own ?? (home === undefined ? undefined : join(home, ".pg_service.conf"));
  const all = join(system ?? SYSTEM_DIRECTORY, "pg_service.conf");
  for (const file of [users, all]) {
    if (file === undefined || (file !== own && !existsSync(file))) continue;
    const service = parseService(readFile(file), name, file);
    if (service !== undefined) return service;
  }
  throw new ConninfoError(`definition of service "${name}" not found`);
}

function readFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    throw new ConninfoError(`service file "${file}" not found`);
  }
}

/**
 * Returns the options in the section `[name]`; undefined if there is no such section. If the
 * section has an option twice, the first value counts. Pure.
 */
export function parseService(text: string, name: string, file: string): Parameters | undefined {
  let parameters: Parameters | undefined;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.replace(/^[ \t\n\v\f\r]+|[ \t\n\v\f\r]+$/g, "");
    if (line === "" || line.startsWith("#")) continue;
    if (line.startsWith("[")) {
      if (parameters !== undefined) break;
      if (line.startsWith(`[${name}]`)) parameters = new Map();
    } else if (parameters !== undefined) {
      addLine(parameters, line, `"${file}", line ${index + 1}`);
    }
  }
  return parameters;
}

function addLine(parameters: Parameters, line: string, where: string): void {
  if (/^ldap/i.test(line))
    throw new ConninfoError(`a lookup by LDAP is not supported: service file ${where}`);
  const [, key = "", value] = /^([^=]*)=(.*)$/.exec(line) ?? [];
  if (value === undefined || !isOption(key))
    throw new ConninfoError(`syntax error in service file ${where}`);
  if (key === "service" || key === "servicefile")
    throw new ConninfoError(`nested ${key} specifications not supported in service file ${where}`);
  if (!parameters.has(key)) parameters.set(key, value);
}
