import { describe, expect, it } from "vitest";
import { formatNamespaces } from "./list.ts";

const nothing = { problems: [], links: [], processes: 0, publish: [], pool: [] };

describe("formatNamespaces", () => {
  it("makes a table", () => {
    expect(
      formatNamespaces([
        {
          ...nothing,
          name: "web",
          state: "complete",
          links: [
            { name: "lo", state: "up", addresses: ["127.0.0.1/8", "::1/128"] },
            {
              name: "net0",
              kind: "veth",
              state: "up",
              addresses: ["10.0.5.2/24"],
              host: { name: "web", state: "up" },
              bridge: "br0",
            },
            {
              name: "net1",
              kind: "macvlan",
              state: "up",
              addresses: [],
              host: { name: "eth0", state: "up" },
            },
          ],
          processes: 12,
        },
        { ...nothing, name: "other", state: "foreign" },
        { ...nothing, name: "zoo", state: "complete", problems: ["the link net0 is gone"] },
      ]),
    ).toBe(
      "NAME   STATE      PROCESSES  HOST LINK          INSIDE   ADDRESSES\n" +
        "web    complete   12         -                  lo up    127.0.0.1/8 ::1/128\n" +
        "                             web up in br0      net0 up  10.0.5.2/24\n" +
        "                             eth0 up (macvlan)  net1 up\n" +
        "other  foreign    0          -                  -\n" +
        "zoo    complete!  0          -                  -\n" +
        "\n" +
        "zoo: the link net0 is gone\n",
    );
  });

  it("returns only the heading if there is no namespace", () => {
    expect(formatNamespaces([])).toMatch(/^NAME .*\n$/);
  });
});
