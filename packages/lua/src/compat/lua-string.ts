/**
 * A Lua string, in place of fengari's `TString`. It has two forms: text with a character for each
 * byte, and bytes. It is held in the form in which it was made, and converted when the other form
 * is needed: our libraries work on text, fengari concatenates bytes.
 */
import type { LuaBytes } from "fengari/src/types";
import { spendBytes } from "./budget.ts";
import { reserve } from "./memory.ts";

/** A string up to this length keeps both of its forms; a longer string keeps only one. */
const SMALL = 4096;
/** The smallest length, in bytes, of a string whose memory is counted. */
const RESERVED = 1024;

/** Returns bytes as text, with a character for each byte. */
export function latin1(bytes: LuaBytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/**
 * The length, in bytes, up to which a string may be kept in memory by a substring, however short:
 * V8's substrings refer to the whole string.
 */
const RETAINED = 65_536;

/** Returns a part of a string, from `start` up to `end`. */
export function cut(text: string, start: number, end: number): string {
  const part = text.slice(start, end);
  if (text.length <= RETAINED || part.length > text.length / 2) return part;
  return Buffer.from(part, "latin1").toString("latin1");
}

export class LuaString {
  #text: string | undefined;
  #bytes: LuaBytes | undefined;
  readonly length: number;

  /** Makes a string from one of its two forms, and keeps this form. @throws OutOfMemory */
  constructor(text: string | undefined, bytes: LuaBytes | undefined) {
    this.#text = text;
    this.#bytes = bytes;
    this.length = text?.length ?? bytes?.length ?? 0;
    this.#beforeCopy();
  }

  get text(): string {
    if (this.#text === undefined) {
      const bytes = this.#bytes ?? new Uint8Array();
      this.#beforeCopy();
      this.#text = latin1(bytes);
      if (this.length > SMALL) this.#bytes = undefined;
    }
    return this.#text;
  }

  /** Returns the text for an operation that reads all of it, such as a comparison. */
  get wholeText(): string {
    spendBytes(this.length);
    return this.text;
  }

  /** Returns the bytes, which belong to the string and must not be changed. */
  getstr(): LuaBytes {
    if (this.#bytes !== undefined) return this.#bytes;
    this.#beforeCopy();
    const bytes = new Uint8Array(this.length);
    Buffer.from(bytes.buffer).write(this.text, "latin1");
    if (this.length <= SMALL) this.#bytes = bytes;
    return bytes;
  }

  /** @throws OutOfMemory */
  #beforeCopy(): void {
    spendBytes(this.length);
    if (this.length >= RESERVED) reserve(this.length);
  }

  /** Returns the length in bytes; fengari calls it by this name. */
  tsslen(): number {
    return this.length;
  }
}
