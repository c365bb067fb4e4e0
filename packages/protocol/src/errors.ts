/**
 * The kinds of mistakes in a datagram.
 *
 * Mistakes of framing, after which nothing that the peer sends can be relied upon:
 * - `short`: shorter than a header
 * - `too-large`: longer than MAX_DATAGRAM_SIZE
 * - `bad-magic`: a wrong magic number
 * - `bad-crc`: a wrong checksum
 * - `truncated`: a packet extends beyond the end
 *
 * Mistakes in the contents:
 * - `duplicate`: a second packet of a command that may occur only once
 * - `malformed`: a payload that the command does not allow
 * - `missing`: no packet of a command that is required
 */
export type ProtocolErrorKind =
  | "short"
  | "too-large"
  | "bad-magic"
  | "bad-crc"
  | "truncated"
  | "duplicate"
  | "malformed"
  | "missing";

const SEMANTIC: ReadonlySet<ProtocolErrorKind> = new Set(["duplicate", "malformed", "missing"]);

/** Thrown if a datagram violates the protocol. The message is suitable for sending to the peer. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly kind: ProtocolErrorKind;
  /**
   * The offset of the mistake in the datagram, in bytes; for a packet, the offset of its header.
   */
  readonly offset: number;

  constructor(kind: ProtocolErrorKind, offset: number, message: string) {
    super(message);
    this.kind = kind;
    this.offset = offset;
  }

  /** Returns whether the framing is broken, after which the connection is unusable. */
  get isFraming(): boolean {
    return !SEMANTIC.has(this.kind);
  }
}
