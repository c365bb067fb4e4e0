import { describe, expect, it } from "vitest";
import { LOG_NOTICE, LOG_WARNING } from "./log.ts";
import { LogOnce } from "./log-once.ts";

describe("logging once", () => {
  let now = 0;
  const lines: string[] = [];
  const make = () => {
    now = 0;
    lines.length = 0;
    return new LogOnce(
      (priority, text) => lines.push(`${priority} ${text}`),
      () => now,
    );
  };

  it("is done once for each kind, and again an hour later", () => {
    const log = make();
    for (const text of ["one", "two"]) log.log("a", LOG_NOTICE, text);
    log.log("b", LOG_WARNING, "three");
    expect(lines).toEqual(["5 one", "4 three"]);
    now = 3_599_999;
    log.log("a", LOG_NOTICE, "four");
    expect(lines.length).toBe(2);
    now++;
    log.log("a", LOG_NOTICE, "five");
    log.log("a", LOG_NOTICE, "six");
    expect(lines.slice(2)).toEqual(["5 five"]);
  });

  it("is limited to 1,000 kinds of events, and the limit is logged", () => {
    const log = make();
    for (let i = 0; i < 5000; i++) log.log(`${i}`, LOG_NOTICE, "line");
    expect(lines.length).toBe(1001);
    expect(lines.at(-1)).toMatch(/not logged/);
    now = 3_600_000;
    log.log("5000", LOG_NOTICE, "again");
    expect(lines.at(-1)).toBe("5 again");
  });
});
