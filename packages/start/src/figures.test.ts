import { expect, it } from "vitest";
import { formatCount, formatMebibytes, formatSeconds } from "./figures.ts";

it("distinguishes 0 from an unknown value", () => {
  expect([formatCount(0), formatCount(null)]).toEqual(["0", "-"]);
  expect([formatSeconds(0), formatSeconds(null)]).toEqual(["0.00 s", "-"]);
  expect([formatMebibytes(5.25 * 1024 ** 2), formatMebibytes(null)]).toEqual(["5.3 MiB", "-"]);
});
