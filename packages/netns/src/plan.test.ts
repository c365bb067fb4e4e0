import { tryParseIpAddress, tryParseIpPrefix } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import {
  type Description,
  describeStep,
  planDown,
  planEverythingUndone,
  planUndo,
  planUp,
  type UpRequest,
} from "./plan.ts";

const prefix = (text: string) => {
  const parsed = tryParseIpPrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};

const described: Description = {
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
  sysctl: [{ value: { key: "net.ipv4.ip_forward", value: "1" }, origin: "f:5" }],
  resolvConf: { value: "nameserver 10.0.5.1\n", origin: "f:6" },
};

const request: UpRequest = { name: "web", hostUp: true, scriptTimeoutMs: 90_000 };
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

  it("does all that is described, and the script last", () => {
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
      'make /etc/netns/web/resolv.conf of "nameserver 10.0.5.1\\n"',
      "inside, run /s/web net0",
    ]);
  });

  it("knows the line that asks for a step", () => {
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
    [{ description: { ...described, outside: { addresses: [], routes: [], up: false } } }, false],
    [{ description: { ...described, outside: { addresses: [], routes: [], up: true } } }, true],
    [{}, true],
  ])("leaves the host's end to others: %#", (changes, up) => {
    expect(lines({ ...request, ...changes }).includes("outside, set web up")).toBe(up);
  });

  it("leaves the inside down where the description says so", () => {
    const inside = { addresses: [], routes: [], up: false };
    const asked = { ...request, description: { ...described, inside } };
    expect(lines(asked)).not.toContain("inside, set net0 up");
    expect(lines(asked)).toContain("inside, set lo up");
  });
});

describe("planUndo", () => {
  it("undoes the last step first", () => {
    const steps = planUp({ ...request, description: described, script: "/s/web" });
    expect(planUndo(steps)).toEqual([
      "end-processes",
      "remove-resolv-conf",
      "delete-link",
      "delete-namespace",
    ]);
    expect(planUndo(steps)).toEqual(planEverythingUndone);
  });

  it("undoes only what was begun", () => {
    const steps = planUp({ ...request, script: "/s/web" });
    expect(planUndo(steps.slice(0, 1))).toEqual(["delete-namespace"]);
    expect(planUndo(steps.slice(0, 4))).toEqual(["delete-link", "delete-namespace"]);
    expect(planUndo([])).toEqual([]);
  });
});

describe("planDown", () => {
  it("deletes the link before the namespace and ends no processes", () => {
    expect(planDown).toEqual(["delete-link", "remove-resolv-conf", "delete-namespace"]);
  });
});
