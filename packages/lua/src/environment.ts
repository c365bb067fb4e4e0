/**
 * Passes environment variables that are not UTF-8 from the daemon to the script host. Node would
 * replace their undecodable bytes with U+FFFD, so an additional variable carries all of these
 * variables, in base64.
 */
import { readFileSync } from "node:fs";
import { bytesOfLatin1, setEnvironmentVariable } from "@cm4all/linux";

const VARIABLE = "CM4ALL_ENVIRONMENT";

/**
 * Returns the additional variable for the script host, made from the environment of this process;
 * an empty object if all variables are UTF-8.
 * @see proc_pid_environ(5)
 */
export function undecodableVariables(): NodeJS.ProcessEnv {
  if (!JSON.stringify(process.env).includes("\ufffd")) return {};
  const entries = readFileSync("/proc/self/environ", "latin1")
    .split("\0")
    .filter((entry) => !isText(Buffer.from(entry, "latin1")));
  return { [VARIABLE]: Buffer.from(entries.join("\0"), "latin1").toString("base64") };
}

function isText(bytes: Buffer): boolean {
  return Buffer.from(bytes.toString()).equals(bytes);
}

/** Sets, in the script host, the variables that `undecodableVariables` has passed. */
export function restoreEnvironment(): void {
  const encoded = process.env[VARIABLE];
  if (encoded === undefined) return;
  delete process.env[VARIABLE];
  for (const entry of Buffer.from(encoded, "base64").toString("latin1").split("\0")) {
    const [name = "", ...value] = entry.split("=");
    delete process.env[Buffer.from(name, "latin1").toString()];
    if (name !== "") setEnvironmentVariable(bytesOfLatin1(name), bytesOfLatin1(value.join("=")));
  }
}
