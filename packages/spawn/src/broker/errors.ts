/** A request that is refused for a reason that the client is told. */
export class Refusal extends Error {
  override readonly name = "Refusal";
}
