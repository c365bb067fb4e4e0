import { describe, expect, it } from "vitest";
import { encodeFrame, scroll } from "./frame.ts";

describe("encodeFrame", () => {
  it("cuts lines off at the right edge, and clears the rest of the screen", () => {
    expect(encodeFrame(["├─abcdef", "x"], { columns: 4, rows: 2 })).toBe(
      "\x1b[H├─ab\x1b[K\r\nx\x1b[K\x1b[J",
    );
  });

  it("cuts wide characters off before the edge", () => {
    expect(encodeFrame(["日本語"], { columns: 5, rows: 2 })).toBe("\x1b[H日本\x1b[K\x1b[J");
  });

  it("shows in the last row which lines are visible if there are more lines than rows", () => {
    const lines = ["a", "b", "c", "d", "e"];
    const size = { columns: 30, rows: 3 };
    expect(encodeFrame(lines, size)).toBe(
      "\x1b[Ha\x1b[K\r\nb\x1b[K\r\n\x1b[7mlines 1-2 of 5\x1b[m\x1b[K\x1b[J",
    );
    expect(encodeFrame(lines, size, 3, ": keys, of which,")).toBe(
      "\x1b[Hd\x1b[K\r\ne\x1b[K\r\n\x1b[7mlines 4-5 of 5: keys, of which\x1b[m\x1b[K\x1b[J",
    );
  });
});

describe("scroll", () => {
  const size = { columns: 80, rows: 11 };
  const [up, down, pageUp, pageDown] = ["\x1b[A", "\x1b[B", "\x1b[5~", "\x1b[6~"];
  it.each([
    [0, down, 1],
    [0, "\x1bOB", 1],
    [0, `${down}${down}x${down}${up}`, 2],
    [0, up, 0],
    [0, pageDown, 10],
    [10, pageDown, 20],
    [20, pageDown, 20],
    [20, down, 20],
    [20, `${down}${up}`, 19],
    [15, pageUp, 5],
    [5, pageUp, 0],
    [25, "", 20],
  ])("moves from line %d, with the keys %j, to line %d", (first, typed, expected) => {
    expect(scroll(first, typed, 30, size)).toBe(expected);
  });

  it("shows all lines as soon as there is room", () => {
    expect(scroll(7, "", 11, size)).toBe(0);
    expect(scroll(7, down, 12, size)).toBe(2);
  });
});
