import { describe, expect, it } from "vitest";
import { mapProblem, mapsRoot, planSteps } from "./plan.ts";

describe("planSteps", () => {
  it("returns no words if no step is needed", () => {
    expect(planSteps({ privateProc: false })).toEqual([]);
  });

  it("mounts /proc", () => {
    expect(planSteps({ privateProc: true })).toEqual(["unshare", "--mount-proc", "--"]);
  });

  it("enters a user namespace that does not map root", () => {
    const user = { fd: 23, uidMap: "1000 0 1" };
    expect(planSteps({ privateProc: false, user })).toEqual([
      "nsenter",
      "--user=/proc/self/fd/23",
      "--preserve-credentials",
      "--",
    ]);
  });

  it("mounts /proc before it enters the user namespace, and becomes root there", () => {
    const user = { fd: 23, uidMap: "0 100000 10", gidMap: "0 100000 10" };
    expect(planSteps({ privateProc: true, user }).join(" ")).toBe(
      "unshare --mount-proc -- nsenter --user=/proc/self/fd/23 --preserve-credentials" +
        " --setuid 0 --setgid 0 --",
    );
  });

  it("ignores signals as the last step, including real-time signals", () => {
    expect(planSteps({ privateProc: true, ignoredSignals: [1, 3, 34, 64] })).toEqual([
      "unshare",
      "--mount-proc",
      "--",
      "/bin/bash",
      "-pc",
      'trap "" 1 3 34 64; exec "$@"',
      "bash",
    ]);
  });
});

it.each([
  ["0 1000 1", true],
  ["  0\t1000   1 ", true],
  ["00 1000 65536", true],
  ["1 0 10\n0 1000 1\n", true],
  ["0 1000 0", false],
  ["1000 0 1", false],
  ["10 0 1", false],
  ["", false],
  [undefined, false],
  ["garbage", false],
])("mapsRoot(%j) is %j", (map, expected) => {
  expect(mapsRoot(map)).toBe(expected);
});

it.each([
  ["0 100000 65536", undefined],
  ["0 1", "three numbers"],
  ["0 x 1", "three numbers"],
  ["0 100000 99999999999", "the largest id is 4294967294"],
  ["4294967295 0 1", "the largest id is"],
  ["0 0 0", "no id is mapped"],
  ["4294967294 4294967294 1", undefined],
])("mapProblem(%j)", (line, problem) => {
  if (problem === undefined) expect(mapProblem(line)).toBeUndefined();
  else expect(mapProblem(line)).toContain(problem);
});
