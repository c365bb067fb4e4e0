import { tryParseIpAddress, tryParseIpPrefix } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { type Description, plainVeth } from "./description.ts";
import { planDown, planUndo, planUp, type UpRequest } from "./plan.ts";
import { describeStep } from "./plan-text.ts";

const prefix = (text: string) => {
  const parsed = tryParseIpPrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

const described: Description = {
  links: [
    {
      ...plainVeth,
      inside: {
        mtuBytes: 1400,
        mac: Buffer.from("020000000502", "hex"),
        addresses: [{ value: prefix("10.0.5.2/24"), origin: "f:1" }],
        routes: [
          { value: { destination: prefix("10.9.0.0/16"), metric: 5 }, origin: "f:2" },
          {
            value: { destination: prefix("0.0.0.0/0"), gateway: tryParseIpAddress("10.0.5.1") },
            origin: "f:3",
          },
        ],
      },
      outside: { addresses: [{ value: prefix("fd00:5::1/64"), origin: "f:4" }], routes: [] },
    },
  ],
  sysctl: [{ value: { key: "net.ipv4.ip_forward", value: "1" }, origin: "f:5" }],
  dns: { servers: ["10.0.5.1"], lines: [], origin: "f:6" },
};
const withEnd = (end: "inside" | "outside", up: boolean): Description => ({
  ...described,
  links: [{ ...plainVeth, [end]: { addresses: [], routes: [], up } }],
});

const request: UpRequest = { name: "web", hostUp: true, uplinks: [], scriptTimeoutMs: 90_000 };
const lines = (asked: UpRequest) => planUp(asked).map((step) => describeStep(step, "web"));

describe("planUp", () => {
  it("makes the pair and runs the script", () => {
    expect(lines({ ...request, script: "/s/web" })).toEqual([
      "make the network namespace /run/netns/web",
      "make the veth pair web - net0 (inside)",
      "inside, set lo up",
      "inside, set net0 up",
      "outside, set web up",
      "inside, run /s/web net0, 90 s at most",
    ]);
  });

  it("includes everything that is described, with the script last", () => {
    expect(
      lines({ ...request, description: described, script: "/s/web", scriptTimeoutMs: 0 }),
    ).toEqual([
      "make the network namespace /run/netns/web",
      "make the veth pair web - net0 mtu 1400 address 02:00:00:00:05:02 (inside)",
      "inside, set net.ipv4.ip_forward = 1",
      "inside, set lo up",
      "inside, set net0 up",
      "outside, set web up",
      "outside, give web the address fd00:5::1/64",
      "inside, give net0 the address 10.0.5.2/24",
      "inside, add a route to 10.9.0.0/16 dev net0 metric 5",
      "inside, add the default route via 10.0.5.1 dev net0",
      'write /etc/netns/web/resolv.conf: "nameserver 10.0.5.1\\n"',
      "inside, run /s/web net0",
    ]);
  });

  it("gives each step the line of the description that asks for it", () => {
    const origins = planUp({ ...request, description: described }).map(({ origin }) => origin);
    expect(origins.filter((origin) => origin !== undefined)).toEqual([
      "f:5",
      "f:4",
      "f:1",
      "f:2",
      "f:3",
      "f:6",
    ]);
  });

  it.each([
    [{ hostUp: false }, false],
    [{ description: withEnd("outside", false) }, false],
    [{ description: withEnd("outside", true) }, true],
    [{}, true],
  ])(
    "sets the host's end up, unless an option or the description forbids it: %#",
    (changes, up) => {
      expect(lines({ ...request, ...changes }).includes("outside, set web up")).toBe(up);
    },
  );

  it("leaves the end inside down if the description says so", () => {
    const asked = { ...request, description: withEnd("inside", false) };
    expect(lines(asked)).not.toContain("inside, set net0 up");
    expect(lines(asked)).toContain("inside, set lo up");
  });
});

describe("planUndo", () => {
  const kinds = (asked: UpRequest, count?: number) =>
    planUndo(planUp(asked).slice(0, count)).map(({ kind }) => kind);

  it("ends processes before it deletes the link, and deletes the namespace last", () => {
    expect(kinds({ ...request, description: described, script: "/s/web" })).toEqual([
      "end-processes",
      "delete-link",
      "remove-resolv-conf",
      "delete-namespace",
    ]);
  });

  it("undoes only what was begun", () => {
    const asked = { ...request, script: "/s/web" };
    expect(kinds(asked, 0)).toEqual([]);
    expect(kinds(asked, 1)).toEqual(["delete-namespace"]);
    expect(kinds(asked, 4)).toEqual(["delete-link", "delete-namespace"]);
  });

  it("undoes the last of several links first, each once, and forwarding once", () => {
    const links = [
      plainVeth,
      {
        ...plainVeth,
        name: "net1",
        hostName: "web-b",
        masquerade: { value: ["ipv4" as const], origin: "f:1" },
      },
    ];
    const asked = { ...request, uplinks: ["eth0"], description: { ...described, links } };
    expect(planUndo(planUp(asked))).toEqual([
      { kind: "delete-link", link: "net1" },
      { kind: "delete-link", link: "net0" },
      { kind: "delete-table" },
      { kind: "restore-forwarding" },
      { kind: "remove-resolv-conf" },
      { kind: "delete-namespace" },
    ]);
  });
});

describe("planDown", () => {
  it("ends no processes", () => {
    const undos = planUndo(planUp({ ...request, script: "/s/web" }));
    expect(planDown(undos).map(({ kind }) => kind)).toEqual(["delete-link", "delete-namespace"]);
  });
});
