/** Splits a stream of bytes into the JSON values of its messages. Pure. */
import { LENGTH_BYTES, ProtocolError } from "./protocol.ts";

/** The number of characters of an invalid message that an error quotes. */
const QUOTED = 100;
const FIRST_BYTES = 4096;

/**
 * Reads messages from a peer that need not be trusted. Incomplete messages are copied into a buffer
 * that grows as bytes arrive, so that a length prefix reserves no memory, and many small chunks
 * take no more memory than one large chunk. Checks only the length of a message, and that it is
 * JSON.
 */
export class MessageReader {
  readonly #maxBytes: number;
  /** The incomplete message, including its length prefix. */
  #buffer = Buffer.alloc(0);
  #used = 0;

  /** @param maxBytes the size of the largest message, without its length prefix */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * Yields the values of all messages that are now complete.
   * @param chunk not kept
   * @throws ProtocolError during the iteration; the stream cannot be read any further then
   */
  *push(chunk: Buffer): Generator<unknown, void, undefined> {
    let rest = chunk;
    while (rest.length > 0) {
      if (this.#used === 0) {
        const whole = this.#tryTake(rest);
        if (whole !== undefined) {
          rest = rest.subarray(LENGTH_BYTES + whole.length);
          yield parseJson(whole);
          continue;
        }
      }
      rest = rest.subarray(this.#collect(rest));
      const whole = this.#tryTake(this.#buffer.subarray(0, this.#used));
      if (whole === undefined) continue;
      const value = parseJson(whole);
      this.#used = 0;
      // A single long message must not keep the buffer large for ever.
      if (this.#buffer.length > FIRST_BYTES) this.#buffer = Buffer.alloc(0);
      yield value;
    }
  }

  /**
   * Returns the message at the beginning of `bytes`, without its length prefix; undefined if the
   * message is incomplete.
   */
  #tryTake(bytes: Buffer): Buffer | undefined {
    if (bytes.length < LENGTH_BYTES) return undefined;
    const end = LENGTH_BYTES + this.#lengthOf(bytes);
    return bytes.length < end ? undefined : bytes.subarray(LENGTH_BYTES, end);
  }

  #lengthOf(bytes: Buffer): number {
    const length = bytes.readUInt32LE();
    if (length > this.#maxBytes)
      throw new ProtocolError(`a message of ${length} bytes is too long`);
    return length;
  }

  /** Copies the bytes that belong to the incomplete message. Returns their number. */
  #collect(bytes: Buffer): number {
    const end =
      this.#used < LENGTH_BYTES ? LENGTH_BYTES : LENGTH_BYTES + this.#lengthOf(this.#buffer);
    const count = Math.min(bytes.length, end - this.#used);
    const needed = this.#used + count;
    if (needed > this.#buffer.length) {
      const larger = Buffer.alloc(Math.max(FIRST_BYTES, needed, 2 * this.#buffer.length));
      this.#buffer.copy(larger, 0, 0, this.#used);
      this.#buffer = larger;
    }
    bytes.copy(this.#buffer, this.#used, 0, count);
    this.#used = needed;
    return count;
  }
}

function parseJson(json: Buffer): unknown {
  const text = json.toString();
  try {
    return JSON.parse(text);
  } catch (error) {
    const quoted = JSON.stringify(text.slice(0, QUOTED));
    throw new ProtocolError(`not a message: ${quoted}`, { cause: error });
  }
}
