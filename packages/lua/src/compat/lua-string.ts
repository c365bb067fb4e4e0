/**
 * A string of Lua, as fengari's `TString`: bytes. It is held in the form it was made in, as
 * text with a character for each byte or as bytes, and made into the other one where that
 * is asked for: our libraries work on text, fengari joins bytes.
 */
import type { LuaBytes } from "fengari/src/types";
import { budget } from "./budget.ts";
import { reserve } from "./memory.ts";

/** A string up to this length keeps both of its forms; a longer one has one at a time. */
const SMALL = 4096;
/** From here on the work of making a string counts. */
const COUNTED = 1024;
/** How many bytes are copied in the time of an instruction, or less. */
const BYTES_PER_INSTRUCTION = 64;

/** Bytes as text, a character for each. */
export function latin1(bytes: LuaBytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

/** Of a text that is longer, V8 keeps all of it alive for a part that is cut out. */
const RETAINED = 65_536;

/** A part of a text, from `start` up to `end`. */
export function cut(text: string, start: number, end: number): string {
  const part = text.slice(start, end);
  if (text.length <= RETAINED || part.length > text.length / 2) return part;
  return Buffer.from(part, "latin1").toString("latin1");
}

export class LuaString {
  #text: string | undefined;
  #bytes: LuaBytes | undefined;
  readonly length: number;

  /** Keeps what it is given. @throws OutOfMemory */
  constructor(text: string | undefined, bytes: LuaBytes | undefined) {
    this.#text = text;
    this.#bytes = bytes;
    this.length = text?.length ?? bytes?.length ?? 0;
    if (this.length >= COUNTED) {
      budget.left -= Math.floor(this.length / BYTES_PER_INSTRUCTION);
      reserve(this.length);
    }
  }

  get text(): string {
    if (this.#text === undefined) {
      const bytes = this.#bytes ?? new Uint8Array();
      if (this.length >= COUNTED) reserve(this.length);
      this.#text = latin1(bytes);
      if (this.length > SMALL) this.#bytes = undefined;
    }
    return this.#text;
  }

  /** To be read only: they are the string's. */
  getstr(): LuaBytes {
    if (this.#bytes !== undefined) return this.#bytes;
    if (this.length >= COUNTED) reserve(this.length);
    const bytes = Uint8Array.from(Buffer.from(this.text, "latin1"));
    if (this.length <= SMALL) this.#bytes = bytes;
    return bytes;
  }

  /** Returns the length in bytes, by the name that fengari calls. */
  tsslen(): number {
    return this.length;
  }
}
