/** Prints our own lines and those of the daemon, never one inside another. */
import type { Readable } from "node:stream";

const COLUMNS = 92;

/** Prints the lines in a single write: no output of the daemon comes between them. */
export function say(...lines: string[]): void {
  process.stdout.write(`${lines.map(wrapLine).join("\n")}\n`);
}

/** Breaks a line between words; leaves a line that begins with a space as it is. Pure. */
export function wrapLine(line: string): string {
  if (line.startsWith(" ")) return line;
  const lines = [""];
  for (const word of line.split(" ")) {
    const last = lines.at(-1) ?? "";
    if (last !== "" && last.length + 1 + word.length > COLUMNS) lines.push(word);
    else lines[lines.length - 1] = last === "" ? word : `${last} ${word}`;
  }
  return lines.join("\n");
}

/** Passes on the daemon's output in whole lines, each marked as the daemon's. */
export function passOn(from: Readable, to: NodeJS.WritableStream): void {
  let rest = "";
  from.setEncoding("utf8");
  from.on("data", (text: string) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    to.write(lines.map((line) => `  daemon | ${line}\n`).join(""));
  });
  from.on("end", () => {
    if (rest !== "") to.write(`  daemon | ${rest}\n`);
  });
}
