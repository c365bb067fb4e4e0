/** Explains why an existing file cannot be executed. @see execve(2) */
import { closeSync, existsSync, openSync, readSync } from "node:fs";
import { isErrno } from "@cm4all/linux";

/** The number of bytes of a file that the kernel looks at. @see BINPRM_BUF_SIZE */
const FIRST_LINE_BYTES = 256;

/**
 * Returns what is wrong with the interpreter that the first line names; undefined if the line names
 * none, or if the interpreter exists. If it does not exist, execve(2) fails with ENOENT although
 * the file itself exists.
 */
export function interpreterProblem(path: string | Buffer): string | undefined {
  const line = readFirstLine(path);
  if (line === undefined || !line.startsWith("#!")) return undefined;
  const [interpreter = ""] = line.slice(2).trimStart().split(/[ \t]/);
  if (interpreter.endsWith("\r"))
    return "its first line ends with a carriage return, as in DOS; dos2unix(1) helps";
  const file = Buffer.from(interpreter, "latin1");
  if (interpreter === "" || existsSync(file)) return undefined;
  return `its interpreter ${file} does not exist`;
}

/** Returns the first line, with a character for each byte; undefined if the file cannot be read. */
function readFirstLine(path: string | Buffer): string | undefined {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch (error) {
    if (isErrno(error, "ENOENT", "EACCES", "ENOTDIR")) return undefined;
    throw error;
  }
  try {
    const buffer = Buffer.alloc(FIRST_LINE_BYTES);
    const length = readSync(fd, buffer, 0, buffer.length, 0);
    return buffer.toString("latin1", 0, length).split("\n", 1)[0];
  } finally {
    closeSync(fd);
  }
}
