/**
 * Requests that came before. Spawners ask for the same again and again, so most datagrams
 * need not be checked and decoded anew: those with the same bytes say the same.
 */
import { type DecodedRequest, decodeRequest } from "@cm4all/spawn-protocol";

/** Bounds the memory, together with MAX_BYTES. */
const MAX_REQUESTS = 4096;

/** Longer ones are decoded each time. */
const MAX_BYTES = 512;

/** Where a datagram has its checksum, which finds it here. */
const CHECKSUM_OFFSET = 4;

interface Known {
  readonly bytes: Buffer;
  readonly decoded: DecodedRequest;
}

export class KnownRequests {
  readonly #known = new Map<number, Known>();

  /**
   * Decodes a datagram. What it gives may be given again: never write to it.
   * @param bytes the buffer that holds it from its start
   * @throws ProtocolError
   */
  decode(bytes: Buffer, length: number): DecodedRequest {
    if (length > MAX_BYTES || length < CHECKSUM_OFFSET + 4) return decodeRequest(bytes, length);
    const checksum = bytes.readUInt32LE(CHECKSUM_OFFSET);
    const known = this.#known.get(checksum);
    // The checksum alone proves nothing: anybody can make another datagram of it.
    if (known?.bytes.length === length && known.bytes.compare(bytes, 0, length) === 0)
      return known.decoded;
    // Payloads are views of the bytes.
    const copy = Buffer.from(bytes.subarray(0, length));
    const decoded = decodeRequest(copy);
    if (this.#known.size >= MAX_REQUESTS) this.#known.clear();
    this.#known.set(checksum, { bytes: copy, decoded });
    return decoded;
  }
}
