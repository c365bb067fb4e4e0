/**
 * The reasons why a request to the spawn daemon failed:
 * - `unavailable`: nobody listens on the socket, or connecting to it failed
 * - `refused`: the daemon refused the request; the message gives the reason
 * - `closed`: the daemon closed two connections without an answer, or the client was closed
 * - `timeout`: the answer did not come in time
 * - `protocol`: this library does not understand the answer
 */
export type SpawnErrorKind = "unavailable" | "refused" | "closed" | "timeout" | "protocol";

/** Thrown if a request to the spawn daemon, or connecting to it, has failed. */
export class SpawnError extends Error {
  override readonly name = "SpawnError";
  readonly kind: SpawnErrorKind;

  constructor(kind: SpawnErrorKind, message: string, options?: ErrorOptions) {
    super(message, options);
    this.kind = kind;
  }
}
