/**
 * The reasons why the spawn daemon gave no namespaces:
 * - `unavailable`: nobody listens on the socket, or it cannot be connected to
 * - `refused`: the daemon refused the request; the message has the reason
 * - `closed`: the daemon closed the connection without an answer, and then a second one; or the
 *   client was closed
 * - `timeout`: the answer did not come in time
 * - `protocol`: this library does not understand the answer
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
