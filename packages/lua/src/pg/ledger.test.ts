import { describe, expect, it } from "vitest";
import type { Effect } from "../runtime/effects.ts";
import { Ledger, type TransactionStatus } from "./ledger.ts";

type Came = Effect | "open";

class Session {
  readonly ledger = new Ledger();
  readonly came: Came[] = [];

  #sent(sql: string) {
    const index = this.came.push("open") - 1;
    return {
      sql,
      settle: (came: Effect) => {
        expect(this.came[index]).toBe("open");
        this.came[index] = came;
      },
    };
  }

  answered(sql: string, tags: string[], status: TransactionStatus, hasFailed = false): this {
    this.ledger.answered(this.#sent(sql), { tags, hasFailed, status });
    return this;
  }

  refused(sql: string, status: TransactionStatus = "I", tags: string[] = []): this {
    return this.answered(sql, tags, status, true);
  }

  lost(sql?: string, isRefused?: boolean): Came[] {
    this.ledger.lost(sql === undefined ? undefined : this.#sent(sql), isRefused);
    expect(this.ledger.inTransaction).toBe(false);
    return this.came;
  }
}

describe("a statement outside a transaction", () => {
  it("has taken effect if it was answered, unless it concerns only the session", () => {
    for (const tag of ["INSERT", "SELECT", "NOTIFY", "CREATE TABLE", "CALL", "ROLLBACK PREPARED"])
      expect(new Session().answered("x", [tag], "I").came).toEqual(["taken"]);
    for (const tags of [["SET"], ["SHOW"], ["LISTEN"], []])
      expect(new Session().answered("x", tags, "I").came).toEqual(["none"]);
  });

  it("has no effect if refused, and an unknown one if it may have committed by itself", () => {
    for (const sql of ["INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET x = 1", "broken"])
      expect(new Session().refused(sql).came).toEqual(["none"]);
    for (const sql of ["CALL p()", "-- x\nDO $$ BEGIN COMMIT; END $$", "do language plpgsql ''"])
      expect(new Session().refused(sql).came).toEqual(["unanswered"]);
  });

  it("has an unknown effect if the session was lost before an answer or a refusal", () => {
    expect(new Session().lost("INSERT")).toEqual(["unanswered"]);
    expect(new Session().lost("INSERT", true)).toEqual(["none"]);
    expect(new Session().lost("CALL p()", true)).toEqual(["unanswered"]);
  });

  it("with several commands has taken effect if one of them was committed", () => {
    const parts = (...tags: string[]) => new Session().answered("x", tags, "I").came[0];
    expect(parts("BEGIN", "INSERT", "COMMIT")).toBe("taken");
    expect(parts("BEGIN", "INSERT", "ROLLBACK")).toBe("none");
    expect(parts("BEGIN", "INSERT", "ROLLBACK", "INSERT")).toBe("taken");
    expect(new Session().refused("x", "I", ["INSERT"]).came).toEqual(["none"]);
    expect(new Session().refused("x", "I", ["BEGIN", "INSERT", "COMMIT"]).came).toEqual(["taken"]);
  });
});

describe("a transaction", () => {
  const open = () =>
    new Session().answered("BEGIN", ["BEGIN"], "T").answered("INSERT", ["INSERT"], "T");

  it("has no effect before it ends", () => {
    const session = open();
    expect(session.came).toEqual(["open", "open"]);
    expect(session.ledger.inTransaction).toBe(true);
    session.answered("ROLLBACK TO a", ["ROLLBACK"], "T");
    expect(session.came).toEqual(["open", "open", "open"]);
  });

  it("takes effect with COMMIT", () => {
    expect(open().answered("COMMIT", ["COMMIT"], "I").came).toEqual(["taken", "taken", "taken"]);
    const chain = open().answered("COMMIT AND CHAIN", ["COMMIT"], "T");
    expect(chain.came).toEqual(["taken", "taken", "taken"]);
    expect(chain.refused("x", "E").lost()[3]).toBe("none");
  });

  it("has no effect after ROLLBACK, after a failed COMMIT, and after a failed statement", () => {
    expect(open().answered("ROLLBACK", ["ROLLBACK"], "I").came).toEqual(["none", "none", "none"]);
    expect(open().refused("COMMIT").came).toEqual(["none", "none", "none"]);
    const failed = open().refused("broken", "E").answered("COMMIT", ["ROLLBACK"], "I");
    expect(failed.came).toEqual(["none", "none", "none", "none"]);
    expect(failed.ledger.inTransaction).toBe(false);
  });

  it("has no effect if the session is lost, unless COMMIT may have been under way", () => {
    expect(open().lost()).toEqual(["none", "none"]);
    expect(open().lost("INSERT")).toEqual(["none", "none", "none"]);
    expect(open().lost("COMMIT", true)).toEqual(["none", "none", "none"]);
    expect(open().lost("COMMIT")).toEqual(["unanswered", "unanswered", "unanswered"]);
    expect(open().lost("INSERT INTO t VALUES (1); END")).toContain("unanswered");
  });
});

it("recognises statements without a lasting effect", () => {
  const { ledger } = new Session();
  for (const sql of ["BEGIN", " begin isolation level serializable; ", "START TRANSACTION"])
    expect(ledger.mayTakeEffect(sql)).toBe(false);
  for (const sql of ["BEGIN; INSERT", "SELECT 1", ""]) expect(ledger.mayTakeEffect(sql)).toBe(true);
  const inside = new Session().answered("BEGIN", ["BEGIN"], "T").ledger;
  expect(inside.mayTakeEffect("INSERT")).toBe(false);
  expect(inside.mayTakeEffect("commit")).toBe(true);
});
