/** The process's environment as bytes, which Node takes for UTF-8. */
import { readFileSync } from "node:fs";

/** The value of a variable; both are binary strings. */
export function environmentVariable(name: string): string | undefined {
  const value = process.env[Buffer.from(name, "latin1").toString()];
  if (value !== undefined && !value.includes("\ufffd")) return binary(value);
  // A name or a value that is no UTF-8 is there as it was given to the process.
  return given().get(name) ?? (value === undefined ? undefined : binary(value));
}

const binary = (text: string) => Buffer.from(text).toString("latin1");

let variables: Map<string, string> | undefined;

/** @see proc_pid_environ(5) */
function given(): Map<string, string> {
  variables ??= new Map(
    readFileSync("/proc/self/environ", "latin1")
      .split("\0")
      .filter((entry) => entry.includes("="))
      .map((entry) => {
        const at = entry.indexOf("=");
        return [entry.slice(0, at), entry.slice(at + 1)];
      }),
  );
  return variables;
}
