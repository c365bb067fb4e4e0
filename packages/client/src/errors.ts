/**
 * The reasons why the spawn daemon gave no namespaces:
 * - `unavailable`: nobody listens on the socket, or it cannot be connected to
 * - `refused`: the daemon refused the request; the message has the reason
 * - `closed`: the daemon hung up without an answer, also on a second connection
 * - `timeout`: no answer in time
 * - `protocol`: an answer that this library does not understand
 */
export type SpawnErrorKind = "unavailable" | "refused" | "closed" | "timeout" | "protocol";

/** Thrown if the spawn daemon gave no namespaces. */
export class SpawnError extends Error {
  override readonly name = "SpawnError";
  readonly kind: SpawnErrorKind;

  constructor(kind: SpawnErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
