/**
 * Checks the replies of a script host. It is not trusted: a script may have taken over its process.
 * So a reply is built anew from fields that were checked, and has no other fields. Pure.
 */
import { type ByteString, bytesOfLatin1 } from "@cm4all/linux";
import { MAX_TEXT, ProtocolError, type Reply } from "./protocol.ts";
import { type HandlerShape, type Handlers, shapesOf } from "./run-kinds.ts";
import type { Effect, FailureCause } from "./runtime/effects.ts";

const SHAPES: readonly HandlerShape[] = ["none", "one", "list"];
const EFFECTS: readonly Effect[] = ["none", "taken", "unanswered"];
const CAUSES: readonly FailureCause[] = ["script", "connection"];
/** `cutText` puts three dots at the end of a string that it has cut. */
const MAX_CUT_TEXT = MAX_TEXT + 3;
/** A character that stands for no byte. */
const NO_BYTE = /[\u0100-\uffff]/;

/** The fields of an object, each taken once. */
class Fields {
  readonly #values: Map<string, unknown>;
  readonly #where: string;

  constructor(value: unknown, where: string) {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ProtocolError(`${where} that is not an object`);
    this.#values = new Map(Object.entries(value));
    this.#where = where;
  }

  #take(name: string): unknown {
    const value = this.#values.get(name);
    this.#values.delete(name);
    return value;
  }

  #bad(name: string): ProtocolError {
    return new ProtocolError(`${this.#where} with a bad ${JSON.stringify(name)}`);
  }

  object(name: string): Fields {
    return new Fields(this.#take(name), `${this.#where} with a ${JSON.stringify(name)}`);
  }

  text(name: string): ByteString {
    const value = this.#take(name);
    if (typeof value !== "string" || value.length > MAX_CUT_TEXT || NO_BYTE.test(value))
      throw this.#bad(name);
    return bytesOfLatin1(value);
  }

  optionalText(name: string): ByteString | undefined {
    return this.#values.has(name) ? this.text(name) : undefined;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.#take(name);
    const found = allowed.find((each) => each === value);
    if (found === undefined) throw this.#bad(name);
    return found;
  }

  boolean(name: string): boolean {
    const value = this.#take(name);
    if (typeof value !== "boolean") throw this.#bad(name);
    return value;
  }

  /** A pid, or the number of a run or a ping. */
  number(name: "number" | "pid" = "number"): number {
    const value = this.#take(name);
    if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 1)
      throw this.#bad(name);
    return value;
  }

  /** Checks that there are no other fields. */
  end(): void {
    for (const name of this.#values.keys())
      throw new ProtocolError(`${this.#where} with a field ${JSON.stringify(name.slice(0, 40))}`);
  }
}

const READERS: { [T in Reply["type"]]: (fields: Fields) => Reply & { type: T } } = {
  hello: (fields) => ({ type: "hello", pid: fields.number("pid") }),
  ready: (fields) => {
    const handlers = readHandlers(fields.object("handlers"));
    return { type: "ready", handlers, ...optional("warning", fields.optionalText("warning")) };
  },
  unusable: (fields) => ({ type: "unusable", ...readFailure(fields) }),
  begin: (fields) => ({ type: "begin", number: fields.number() }),
  done: (fields) => ({ type: "done", number: fields.number() }),
  failed: (fields) => ({
    type: "failed",
    number: fields.number(),
    effect: fields.oneOf("effect", EFFECTS),
    cause: fields.oneOf("cause", CAUSES),
    ...readFailure(fields),
  }),
  dropped: (fields) => ({
    type: "dropped",
    number: fields.number(),
    effect: fields.oneOf("effect", EFFECTS),
  }),
  error: (fields) => ({ type: "error", source: fields.text("source"), ...readFailure(fields) }),
  notice: (fields) => ({ type: "notice", text: fields.text("text") }),
  outputLost: (fields) => ({ type: "outputLost", text: fields.text("text") }),
  pong: (fields) => ({ type: "pong", number: fields.number() }),
};

const TYPES = Object.keys(READERS) as Reply["type"][];

/**
 * Builds a reply from a JSON value.
 * @param value a result of JSON.parse
 * @throws ProtocolError if the value is not a reply
 */
export function parseReply(value: unknown): Reply {
  const fields = new Fields(value, "a message");
  const type = fields.oneOf("type", TYPES);
  const reply = READERS[type](fields);
  fields.end();
  return reply;
}

function readHandlers(fields: Fields): Handlers {
  const handlers = {
    ...shapesOf((kind) => fields.oneOf(kind, SHAPES)),
    bearsRepetition: fields.boolean("bearsRepetition"),
  };
  fields.end();
  return handlers;
}

function readFailure(fields: Fields): { message: ByteString; traceback?: ByteString } {
  const message = fields.text("message");
  return { message, ...optional("traceback", fields.optionalText("traceback")) };
}

function optional<N extends string>(
  name: N,
  value: ByteString | undefined,
): { [K in N]?: ByteString } {
  return value === undefined ? {} : ({ [name]: value } as { [K in N]?: ByteString });
}
