/** The process's environment as bytes, which Node takes for UTF-8. */
import { readFileSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** The value of a variable; both are binary strings. */
export function environmentVariable(name: string): string | undefined {
  const value = process.env[Buffer.from(name, "latin1").toString()];
  if (value !== undefined && !value.includes("\ufffd")) return binary(value);
  // A name or a value that is no UTF-8 is there as it was given to the process.
  return given().get(name) ?? (value === undefined ? undefined : binary(value));
}

const binary = (text: string) => Buffer.from(text).toString("latin1");

let variables: ReadonlyMap<string, string> | undefined;

/**
 * Reads what the process was given, for later: a process that shuts out tracers cannot read
 * it any more, unless it is root.
 */
export function keepGivenEnvironment(): void {
  given();
}

function given(): ReadonlyMap<string, string> {
  variables ??= new Map(
    readEnvironment()
      .split("\0")
      .filter((entry) => entry.includes("="))
      .map((entry) => {
        const at = entry.indexOf("=");
        return [entry.slice(0, at), entry.slice(at + 1)];
      }),
  );
  return variables;
}

/** Empty where it cannot be read, as in a process that nobody may trace. @see proc_pid_environ(5) */
function readEnvironment(): string {
  try {
    return readFileSync("/proc/self/environ", "latin1");
  } catch (error) {
    if (isErrno(error, "EACCES", "EPERM", "ENOENT")) return "";
    throw error;
  }
}
