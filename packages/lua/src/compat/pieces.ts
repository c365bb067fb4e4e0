/** A string that is made of many: its length and what it takes are limited while it grows. */
import { MAX_STRING_BYTES, StringTooLong } from "./limits.ts";
import { reserve } from "./memory.ts";

/** What a piece takes besides its characters. */
const PIECE_BYTES = 32;

export class Pieces {
  readonly #pieces: string[] = [];
  #length = 0;

  /** @throws StringTooLong, OutOfMemory */
  add(piece: string): void {
    if (piece === "") return;
    this.#length += piece.length;
    if (this.#length > MAX_STRING_BYTES) throw new StringTooLong();
    reserve(piece.length + PIECE_BYTES);
    this.#pieces.push(piece);
  }

  /** Returns all that was added as one string. */
  toString(): string {
    return this.#pieces.length === 1 ? (this.#pieces[0] ?? "") : this.#pieces.join("");
  }
}
