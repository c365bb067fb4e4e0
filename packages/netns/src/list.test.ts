import { describe, expect, it } from "vitest";
import { formatNamespaces } from "./list.ts";

describe("formatNamespaces", () => {
  it("makes a table", () => {
    expect(
      formatNamespaces([
        {
          name: "web",
          state: "complete",
          hostLink: { name: "web", state: "up" },
          links: [
            { name: "lo", state: "up", addresses: ["127.0.0.1/8", "::1/128"] },
            { name: "net0", state: "up", addresses: ["10.0.5.2/24"] },
          ],
          processes: 12,
        },
        { name: "other", state: "foreign", links: [], processes: 0 },
      ]),
    ).toBe(
      "NAME   STATE     PROCESSES  HOST LINK  INSIDE   ADDRESSES\n" +
        "web    complete  12         web up     lo up    127.0.0.1/8 ::1/128\n" +
        "                                       net0 up  10.0.5.2/24\n" +
        "other  foreign   0          -          -\n",
    );
  });

  it("has only its heading where there is none", () => {
    expect(formatNamespaces([])).toMatch(/^NAME .*\n$/);
  });
});
