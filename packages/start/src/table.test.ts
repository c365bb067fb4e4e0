import { expect, it } from "vitest";
import { formatCount, formatMebibytes, formatSeconds, formatTable } from "./table.ts";

it("aligns names to the left and numbers to the right", () => {
  expect(
    formatTable([
      { title: "cgroup", cells: ["/a", "/longer"] },
      { title: "CPU", cells: ["0.5 s", "-"], alignRight: true },
    ]),
  ).toEqual(["cgroup     CPU", "/a       0.5 s", "/longer      -"]);
});

it("tells 0 from what is not known", () => {
  expect([formatCount(0), formatCount(null)]).toEqual(["0", "-"]);
  expect([formatSeconds(0), formatSeconds(null)]).toEqual(["0.00 s", "-"]);
  expect([formatMebibytes(5.25 * 1024 ** 2), formatMebibytes(null)]).toEqual(["5.3 MiB", "-"]);
});
