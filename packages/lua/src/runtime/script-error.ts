import { textOf } from "@cm4all/linux";
import type { ScriptFailure } from "./task.ts";

/** Thrown if the script cannot be used. */
export class ScriptError extends Error {
  override name = "ScriptError";
  readonly failure: ScriptFailure;

  constructor(failure: ScriptFailure) {
    super(textOf(failure.message));
    this.failure = failure;
  }
}
