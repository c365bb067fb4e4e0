import type { Outcome } from "@cm4all/lua";
import { describe, expect, it } from "vitest";
import { type Circumstances, judge } from "./verdict.ts";

/** The usual circumstances: one record, retries, and handlers that do not tolerate repetition. */
const usual: Circumstances = {
  retry: true,
  bearsRepetition: false,
  count: 1,
  isOwnFault: false,
};

const failed = (fields: Partial<Extract<Outcome, { type: "failed" }>> = {}): Outcome => ({
  type: "failed",
  message: "no such table",
  effect: "none",
  cause: "script",
  ...fields,
});

const lost = failed({ cause: "connection" });

const interrupted = (effect: "none" | "taken" | "unanswered"): Outcome => ({
  type: "interrupted",
  message: "the host has ended",
  effect,
});

describe("records", () => {
  it("whose handler is done are settled, whatever the circumstances", () => {
    for (const retry of [true, false])
      expect(judge({ type: "done" }, { ...usual, retry, count: 2 })).toEqual({ type: "settle" });
  });

  it.each([
    ["failed", failed({ effect: "taken" })],
    ["lost its connection", lost],
    ["was interrupted", interrupted("unanswered")],
  ])("whose handler %s are lost if only one attempt is allowed", (_what, outcome) => {
    expect(judge(outcome, { ...usual, retry: false })).toEqual({ type: "lose" });
  });

  it.each([
    [failed({ effect: "taken" }), "after it had had an effect: no such table"],
    [
      failed({ effect: "unanswered", cause: "connection" }),
      "after it had sent something that was not answered: no such table",
    ],
    [interrupted("taken"), "after it had had an effect: the host has ended"],
  ])("whose handler may have had an effect are parked", (outcome, words) => {
    const reason = `its handler failed ${words}`;
    expect(judge(outcome, usual)).toEqual({ type: "park", reason });
    expect(judge(outcome, { ...usual, count: 2 })).toEqual({ type: "park", reason });
  });

  it("whose handlers tolerate repetition are not parked if they have had an effect", () => {
    const bearsRepetition = true;
    for (const effect of ["taken", "unanswered"] as const) {
      expect(judge(failed({ effect }), { ...usual, bearsRepetition })).toEqual({ type: "pause" });
      expect(judge({ ...lost, effect } as Outcome, { ...usual, bearsRepetition })).toEqual({
        type: "wait",
      });
    }
  });

  it("wait together if a connection is lost, unless other handlers have succeeded meanwhile", () => {
    expect(judge(lost, { ...usual, count: 2 })).toEqual({ type: "wait" });
    expect(judge(lost, { ...usual, count: 2, isOwnFault: true })).toEqual({ type: "halve" });
    expect(judge(lost, { ...usual, isOwnFault: true })).toEqual({ type: "pause" });
  });

  it.each([
    ["failed", failed()],
    ["was interrupted", interrupted("none")],
  ])(
    "whose handler %s without an effect are tried again in halves, and in the end one by one",
    (_what, outcome) => {
      expect(judge(outcome, { ...usual, count: 3 })).toEqual({ type: "halve" });
      expect(judge(outcome, { ...usual, count: 2 })).toEqual({ type: "halve" });
      expect(judge(outcome, usual)).toEqual({ type: "pause" });
    },
  );
});
