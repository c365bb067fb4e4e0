/**
 * What is wrong with a datagram.
 *
 * Mistakes of framing, after which nothing the peer says can be relied upon:
 * - `short`: not even a header
 * - `too-large`: longer than MAX_DATAGRAM_SIZE
 * - `bad-magic`, `bad-crc`
 * - `truncated`: a packet reaches beyond the end
 *
 * Mistakes in what was said:
 * - `duplicate`: a command that may stand only once
 * - `malformed`: a payload that its command does not allow
 * - `missing`: a packet that this datagram needs
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

/** A datagram that breaks the rules; the message is fit to be sent to the peer. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";
  readonly kind: ProtocolErrorKind;
  /** Where in the datagram, in bytes: of a packet, where its header starts. */
  readonly offset: number;

  constructor(kind: ProtocolErrorKind, offset: number, message: string) {
    super(message);
    this.kind = kind;
    this.offset = offset;
  }

  /** Whether the framing is broken: the connection is of no more use. */
  get isFraming(): boolean {
    return !SEMANTIC.has(this.kind);
  }
}
