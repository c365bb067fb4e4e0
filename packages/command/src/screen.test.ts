import { expect, it } from "vitest";
import { encodeFrame } from "./screen.ts";

it("fits a frame into the terminal and clears what was there", () => {
  expect(encodeFrame(["├─abcdef", "x", "hidden"], 4, 2)).toBe("\x1b[H├─ab\x1b[K\r\nx\x1b[K\x1b[J");
});
