/** Prints our own lines and those of the daemon, never one inside of the other. */
import type { Readable } from "node:stream";

const COLUMNS = 92;

/** Prints lines at once, so that no output of the daemon comes in between. */
export function say(...lines: string[]): void {
  process.stdout.write(`${lines.map(wrapLine).join("\n")}\n`);
}

/** Breaks a line of text between words; a line that begins with a blank is not text. Pure. */
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

/** Passes on the daemon's output, in whole lines that are marked as the daemon's. */
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
