import { bytesOfLatin1 } from "@cm4all/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseReply } from "./parse-reply.ts";
import { MAX_TEXT, ProtocolError, type Reply } from "./protocol.ts";
import { NO_HANDLERS } from "./run-kinds.ts";

const text = bytesOfLatin1("a text\xff\0");
const REPLIES: { [T in Reply["type"]]: Reply & { type: T } } = {
  hello: { type: "hello", pid: 1234 },
  ready: {
    type: "ready",
    handlers: { ...NO_HANDLERS, released: "list", bearsRepetition: true },
    warning: text,
  },
  unusable: { type: "unusable", message: text, traceback: text },
  begin: { type: "begin", number: 1 },
  done: { type: "done", number: Number.MAX_SAFE_INTEGER },
  failed: {
    type: "failed",
    number: 2,
    effect: "unanswered",
    cause: "connection",
    message: text,
    traceback: text,
  },
  dropped: { type: "dropped", number: 3, effect: "taken" },
  error: { type: "error", source: text, message: text, traceback: text },
  notice: { type: "notice", text },
  outputLost: { type: "outputLost", text },
  pong: { type: "pong", number: 7 },
};
const ALL = Object.values(REPLIES);

/** JSON values that are put in the place of each field; most fields accept none of them. */
const WRONG = [null, true, 0, -1, 1.5, 1e300, "", "none ", [], {}, ["done"], { type: "pong" }];

/** Returns the paths of all fields. */
function paths(value: object): string[][] {
  return Object.entries(value).flatMap(([name, field]) => [
    [name],
    ...(typeof field === "object" ? paths(field).map((rest) => [name, ...rest]) : []),
  ]);
}

function changed(value: object, [name = "", ...rest]: string[], to: unknown): object {
  const copy: Record<string, unknown> = { ...value };
  if (rest.length > 0) copy[name] = changed(copy[name] as object, rest, to);
  else if (to === undefined) delete copy[name];
  else copy[name] = to;
  return copy;
}

const isAccepted = (value: unknown): boolean => {
  try {
    parseReply(value);
    return true;
  } catch (error) {
    expect(error).toBeInstanceOf(ProtocolError);
    return false;
  }
};

describe("parseReply", () => {
  it.each(ALL)("accepts $type as it is", (reply) => {
    expect(parseReply(JSON.parse(JSON.stringify(reply)))).toEqual(reply);
  });

  it("accepts a reply without its optional fields", () => {
    for (const name of ["warning", "traceback"])
      for (const reply of ALL.filter((each) => name in each)) {
        const without = changed(reply, [name], undefined);
        expect(parseReply(without)).toEqual(without);
      }
  });

  it.each(ALL)("refuses $type with a missing, wrong or additional field", (reply) => {
    for (const path of paths(reply)) {
      const isOptional = ["warning", "traceback"].includes(path.at(-1) ?? "");
      expect([path, isAccepted(changed(reply, path, undefined))]).toEqual([path, isOptional]);
      for (const wrong of WRONG) {
        const isText = ["warning", "traceback", "message", "source", "text"].includes(
          path.at(-1) ?? "",
        );
        if (isText && typeof wrong === "string") continue;
        const isBoolean = path.at(-1) === "bearsRepetition" && typeof wrong === "boolean";
        expect([path, wrong, isAccepted(changed(reply, path, wrong))]).toEqual([
          path,
          wrong,
          isBoolean,
        ]);
      }
    }
    for (const name of ["x", "number ", "constructor", "toString"])
      expect(isAccepted(changed(reply, [name], 1))).toBe(false);
    const withPrototype = JSON.stringify(reply).replace("{", '{"__proto__":{},');
    expect(isAccepted(JSON.parse(withPrototype))).toBe(false);
  });

  it("refuses strings that are too long, or not bytes", () => {
    const notice = (characters: string) => ({ type: "notice", text: characters });
    expect(isAccepted(notice("x".repeat(MAX_TEXT + 3)))).toBe(true);
    expect(isAccepted(notice("x".repeat(MAX_TEXT + 4)))).toBe(false);
    expect(isAccepted(notice("\u0100"))).toBe(false);
    expect(isAccepted(notice("\u{1f600}"))).toBe(false);
  });

  it("refuses names that objects inherit from their prototype", () => {
    for (const type of ["constructor", "__proto__", "toString", "hasOwnProperty"])
      expect(isAccepted({ type })).toBe(false);
  });

  it("accepts no other JSON value, whatever its shape", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (value) => {
        expect(isAccepted(value)).toBe(false);
      }),
      { numRuns: 2000, seed: 1 },
    );
  });

  it("quotes rubbish in few characters", () => {
    const name = "\n".repeat(100_000);
    expect(() => parseReply({ type: "pong", number: 1, [name]: 1 })).toThrow(
      new ProtocolError(`a message with a field ${JSON.stringify("\n".repeat(40))}`),
    );
  });
});
