/**
 * A file like those of C's stdio: reading and writing are buffered and share a position.
 * Everything is synchronous: a script that reads from a pipe blocks until there is data.
 */
import { constants, openSync, readSync } from "node:fs";
import { tmpdir } from "node:os";
import { cut } from "./lua-string.ts";
import { textToNumber } from "./numbers.ts";
import { badDescriptor, OpenFile } from "./open-files.ts";
import { Pieces } from "./pieces.ts";

const CHUNK = 65536;

/** O_TMPFILE without O_DIRECTORY, whose value depends on the architecture. @see open(2) */
const O_TMPFILE = 0o20000000;

/** A file as scripts see it, whatever is behind it. */
export interface LuaStream {
  readonly isClosed: boolean;
  /** True for the standard streams, which scripts cannot close. */
  readonly isStandard: boolean;
  /** True if writing has an effect outside the process: other processes may read the output. */
  readonly takesEffect: boolean;
  /** Grows whenever the stream writes to the system, or runs a command. */
  readonly effectCount: number;
  /** Reads up to `count` bytes; returns undefined at the end of the file. */
  read(count: number): string | undefined;
  readAll(): string;
  readLine(keepNewline?: boolean): string | undefined;
  readNumber(): number | undefined;
  write(text: string): void;
  flush(): void;
  /** Sets when output is written: immediately, line by line, or when the buffer is full. */
  setBuffering(mode: Buffering): void;
  /** Returns the new position; "invalid" if it would be negative; undefined if there is none. */
  seek(whence: Whence, offset: number): number | "invalid" | undefined;
  close(): void;
}

export type Buffering = "no" | "line" | "full";

export type Whence = "set" | "cur" | "end";

export class LuaFile implements LuaStream {
  readonly opened: OpenFile;
  readonly #readable: boolean;
  readonly #writable: boolean;
  readonly #append: boolean;
  readonly #isTemporary: boolean;
  /** Data that was read ahead. */
  #ahead = "";
  #atEnd = false;
  #buffering: Buffering = "full";
  readonly isStandard: boolean;

  /**
   * Takes ownership of the descriptor.
   * @param options.isTemporary true if nobody else can see the file
   * @param options.beforeClose called when all output is written, while the descriptor is still
   * open
   */
  constructor(
    fd: number,
    options: {
      mode?: string;
      isTemporary?: boolean;
      isStandard?: boolean;
      beforeClose?: (fd: number) => void;
    } = {},
  ) {
    const { mode = "r+" } = options;
    this.#readable = mode.startsWith("r") || mode.includes("+");
    this.#writable = !mode.startsWith("r") || mode.includes("+");
    this.#append = mode.startsWith("a");
    this.opened = new OpenFile(fd, this.#append, options.beforeClose);
    this.#isTemporary = options.isTemporary ?? false;
    this.isStandard = options.isStandard ?? false;
  }

  get isClosed(): boolean {
    return this.opened.isClosed;
  }

  get effectCount(): number {
    return this.opened.effectCount;
  }

  get takesEffect(): boolean {
    return this.#writable && !this.#isTemporary;
  }

  /**
   * Opens a file without a name, which ceases to exist when it is closed.
   * @see open(2) O_TMPFILE
   */
  static openTemporary(): LuaFile {
    const flags = O_TMPFILE | constants.O_DIRECTORY | constants.O_RDWR;
    return new LuaFile(openSync(tmpdir(), flags, 0o600), { mode: "w+", isTemporary: true });
  }

  /** Opens a file. @throws the error of open(2) */
  static open(path: Buffer, mode: string): LuaFile {
    const flags = mode.replace("b", "");
    return new LuaFile(openSync(path, flags, 0o666), { mode: flags });
  }

  read(count: number): string | undefined {
    const pieces = new Pieces();
    let rest = count;
    // Reading 0 bytes tests for the end of the file.
    while (rest > this.#ahead.length || this.#ahead === "") {
      rest -= this.#ahead.length;
      pieces.add(this.#take(this.#ahead.length));
      if (!this.#fill()) {
        const text = pieces.toString();
        return text === "" ? undefined : text;
      }
    }
    pieces.add(this.#take(rest));
    return pieces.toString();
  }

  readAll(): string {
    const pieces = new Pieces();
    do pieces.add(this.#take(this.#ahead.length));
    while (this.#fill());
    return pieces.toString();
  }

  /** Reads a line; returns undefined at the end of the file. */
  readLine(keepNewline = false): string | undefined {
    const pieces = new Pieces();
    let isNothing = true;
    do {
      const end = this.#ahead.indexOf("\n");
      if (end !== -1) {
        const rest = this.#take(end + 1);
        pieces.add(keepNewline ? rest : rest.slice(0, -1));
        return pieces.toString();
      }
      if (this.#ahead !== "") isNothing = false;
      pieces.add(this.#take(this.#ahead.length));
    } while (this.#fill());
    return isNothing ? undefined : pieces.toString();
  }

  /** Reads a number, as scanf(3) does for `%lf`; returns undefined if there is none. */
  readNumber(): number | undefined {
    do this.#ahead = this.#ahead.replace(/^[ \t\n\v\f\r]+/, "");
    while (this.#ahead === "" && this.#fill());
    // The first character that cannot be part of a number ends it: waiting for more data from a
    // pipe might take for ever. No number is expected to be longer than 200 characters.
    while (this.#ahead.length < 200 && /^[+\-.0-9A-Za-z]*$/.test(this.#ahead) && this.#fill());
    const match =
      /^[+-]?(?:0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?|\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)/.exec(
        this.#ahead,
      );
    return match === null ? undefined : textToNumber(this.#take(match[0].length));
  }

  write(text: string): void {
    if (!this.#writable) throw badDescriptor();
    // Writing continues at the position of the last read, not at the end of the data read
    // ahead.
    this.#dropAhead();
    const lines = this.#buffering === "line" ? text.lastIndexOf("\n") + 1 : 0;
    if (lines > 0) {
      this.opened.write(text.slice(0, lines));
      this.flush();
    }
    const waiting = this.opened.write(text.slice(lines));
    if (waiting >= CHUNK || this.#buffering === "no") this.flush();
  }

  flush(): void {
    this.opened.flush();
  }

  setBuffering(mode: Buffering): void {
    this.#buffering = mode;
  }

  seek(whence: Whence, offset: number): number | "invalid" | undefined {
    this.flush();
    this.#dropAhead();
    const { position, size } = this.opened;
    if (position === undefined) return undefined;
    const current = this.#append && position === 0 ? size : position;
    const base = whence === "set" ? 0 : whence === "cur" ? current : size;
    if (base + offset < 0) return "invalid";
    this.#atEnd = false;
    this.opened.position = base + offset;
    return this.opened.position;
  }

  close(): void {
    this.opened.close();
  }

  #take(count: number): string {
    const text = cut(this.#ahead, 0, count);
    this.#ahead = this.#ahead.slice(count);
    return text;
  }

  #dropAhead(): void {
    const { opened } = this;
    if (opened.position !== undefined) opened.position -= this.#ahead.length;
    this.#ahead = "";
  }

  #fill(): boolean {
    if (!this.#readable) throw badDescriptor();
    this.flush();
    const { opened } = this;
    if (this.#atEnd && opened.position === undefined) return false;
    const buffer = Buffer.allocUnsafe(CHUNK);
    const count = readSync(opened.fd, buffer, 0, CHUNK, opened.position ?? null);
    if (count === 0) {
      this.#atEnd = true;
      return false;
    }
    if (opened.position !== undefined) opened.position += count;
    this.#ahead += buffer.toString("latin1", 0, count);
    return true;
  }
}
