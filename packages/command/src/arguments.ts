/**
 * Arguments are bytes, and Node replaces bytes that are not UTF-8 with U+FFFD. If there are such
 * bytes, the arguments are read from /proc/self/cmdline instead. While the command line is parsed,
 * each byte that is not UTF-8 is represented by the lone surrogate U+DC00 plus the value of the
 * byte, as in Python's PEP 383; no valid text contains a lone surrogate. An argument that may be
 * any bytes is converted back with `bytesOfArgument`; in every other argument, such a byte is a
 * mistake.
 */
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { CommandFailure } from "./failure.ts";
import { EX_USAGE } from "./sysexits.ts";

const ESCAPE = 0xdc00;
const ESCAPED = /([\udc80-\udcff])/u;

/** The number of bytes in the longest UTF-8 character. */
const LONGEST = 4;

/** Returns the bytes as text, with lone surrogates for bytes that are not UTF-8. Pure. */
export function argumentOfBytes(bytes: Buffer): string {
  let text = "";
  for (let i = 0; i < bytes.length; ) {
    const character = characterAt(bytes, i);
    text += character ?? String.fromCharCode(ESCAPE + (bytes[i] ?? 0));
    i += character === undefined ? 1 : Buffer.byteLength(character);
  }
  return text;
}

function characterAt(bytes: Buffer, start: number): string | undefined {
  for (let length = 1; length <= LONGEST; length++) {
    const sequence = bytes.subarray(start, start + length);
    const text = sequence.toString();
    if (Buffer.from(text).equals(sequence)) return text;
  }
  return undefined;
}

/** Returns the bytes of an argument of `commandLine`. Pure. */
export function bytesOfArgument(argument: string): Buffer {
  return Buffer.concat(
    argument
      .split(ESCAPED)
      .map((part, i) => (i % 2 === 0 ? Buffer.from(part) : Buffer.of(part.charCodeAt(0) - ESCAPE))),
  );
}

/** A parser for Commander: collects the bytes of several arguments. */
export function collectBytes(argument: string, collected: Buffer[] = []): Buffer[] {
  collected.push(bytesOfArgument(argument));
  return collected;
}

/**
 * Returns `process.argv`, with arguments that are not UTF-8 as `argumentOfBytes` represents them.
 * @see proc_pid_cmdline(5)
 */
export function commandLine(): string[] {
  const [node = "", program = "", ...args] = process.argv;
  if (!args.some((argument) => argument.includes("\ufffd"))) return process.argv;
  const words = readFileSync("/proc/self/cmdline", "latin1").split("\0").slice(0, -1);
  // Options of Node may come before the program, so arguments are counted from the end.
  const given = words.slice(words.length - args.length);
  return [node, program, ...given.map((word) => argumentOfBytes(Buffer.from(word, "latin1")))];
}

/**
 * Refuses arguments that have to be text but are not UTF-8.
 * @throws CommandFailure
 */
export function requireText(command: Command): void {
  const values: unknown[] = [...command.processedArgs, ...Object.values(command.optsWithGlobals())];
  for (const value of values.flat())
    if (typeof value === "string" && ESCAPED.test(value))
      throw new CommandFailure(
        `${JSON.stringify(bytesOfArgument(value).toString("latin1"))} (as Latin-1): this argument has to be UTF-8`,
        EX_USAGE,
      );
}
