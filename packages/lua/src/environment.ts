/**
 * Variables of the daemon that are no UTF-8, on their way to the script host: Node passes
 * U+FFFD to its children for each such byte. So they are in one more variable.
 */
import { readFileSync } from "node:fs";
import { bytesOfLatin1, setEnvironmentVariable } from "@cm4all/linux";

const VARIABLE = "CM4ALL_ENVIRONMENT";

/** Returns what the host needs besides, of what this process was given. @see proc_pid_environ(5) */
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

/** Sets in the host what `undecodableVariables` gave. */
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
