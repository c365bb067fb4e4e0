import { describe, expect, it } from "vitest";
import type { Declarations } from "./declaration.ts";
import { formatDuration, formatMetrics } from "./format.ts";
import { emptyHistogram, observe } from "./histogram.ts";

describe("formatMetrics", () => {
  const common = { help: "", row: "row" } as const;
  const declarations = {
    number: { ...common, kind: "counter", text: "{} numbers", textOfOne: "{} number" },
    known: { ...common, kind: "gauge", label: "kind", values: ["a", "b"], text: "{}" },
    open: { ...common, kind: "counter", unit: "seconds", label: "scope", text: "{} in all" },
    peaks: {
      ...common,
      kind: "histogram",
      unit: "bytes",
      bounds: [1],
      row: "other",
      text: "{} on average",
    },
    state: { ...common, kind: "state", states: { up: "is up" }, row: "other", text: "it {}" },
  } as const satisfies Declarations;

  it("collects metrics in rows", () => {
    const peaks = emptyHistogram([1]);
    observe(peaks, 2 ** 20);
    observe(peaks, 2 ** 21);
    expect(
      formatMetrics(declarations, {
        number: 3,
        known: { a: 1, b: 2 },
        open: { "/x": 1, "/y": 0.5 },
        peaks,
        state: "up",
      }),
    ).toEqual([
      ["row", "3 numbers, 1 a, 2 b, 1.5 s in all"],
      ["other", "1.5 MiB on average, it is up"],
    ]);
  });

  it("has a singular for the value 1, and only for it", () => {
    const { number } = declarations;
    const texts = [0, 1, 2, 11].map(
      (value) => formatMetrics({ number }, { number: value })[0]?.[1],
    );
    expect(texts).toEqual(["0 numbers", "1 number", "2 numbers", "11 numbers"]);
  });

  it("shows the mean of no values as 0", () => {
    const { peaks } = declarations;
    const rows = formatMetrics({ peaks }, { peaks: emptyHistogram([1]) });
    expect(rows).toEqual([["other", "0.0 MiB on average"]]);
  });
});

it.each([
  [0, "0 s"],
  [0.00012, "0.12 ms"],
  [1, "1 s"],
  [59.96, "60 s"],
  [60, "1.0 min"],
  [5400, "1.5 h"],
  [90_000, "1.0 d"],
])("formatDuration(%d)", (seconds, text) => {
  expect(formatDuration(seconds)).toBe(text);
});
