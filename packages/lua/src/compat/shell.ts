/** Commands of scripts, which are bytes: Node passes arguments as UTF-8. */
import { spawnSync } from "node:child_process";

interface Streams {
  stdin: number | "ignore";
  stdout: number | "inherit";
}

/** What `sh -c` gives for a command, a binary string. */
export function runShell(
  command: string,
  { stdin, stdout }: Streams,
): ReturnType<typeof spawnSync> {
  return spawnSync("/bin/sh", ["-c", argument(command)], { stdio: [stdin, stdout, "inherit"] });
}

/** A text whose UTF-8 has the shell run these bytes. */
function argument(command: string): string {
  const bytes = Buffer.from(command, "latin1");
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes)) return text;
  // No text has them: the shell makes them itself. The last byte keeps ends of lines.
  const octal = [...bytes].map((byte) => `\\${byte.toString(8).padStart(3, "0")}`).join("");
  return `eval "$(printf '${octal}\\n:')"`;
}
