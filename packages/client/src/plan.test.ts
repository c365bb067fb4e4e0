import { describe, expect, it } from "vitest";
import { mapProblem, mapsRoot, planCommand } from "./plan.ts";

const command = ["ls", "-l"];

describe("planCommand", () => {
  it("runs the command alone where nothing has to be done in its process", () => {
    expect(planCommand({ command, privateProc: false })).toEqual(["ls", "-l"]);
  });

  it("mounts /proc", () => {
    expect(planCommand({ command, privateProc: true })).toEqual([
      "unshare",
      "--mount-proc",
      "--",
      "ls",
      "-l",
    ]);
  });

  it("enters a user namespace without root in it", () => {
    const user = { fd: 23, uidMap: "1000 0 1" };
    expect(planCommand({ command, privateProc: false, user })).toEqual([
      "nsenter",
      "--user=/proc/self/fd/23",
      "--preserve-credentials",
      "--",
      "ls",
      "-l",
    ]);
  });

  it("mounts /proc before it enters the user namespace, and becomes root there", () => {
    const user = { fd: 23, uidMap: "0 100000 10", gidMap: "0 100000 10" };
    expect(planCommand({ command, privateProc: true, user }).join(" ")).toBe(
      "unshare --mount-proc -- nsenter --user=/proc/self/fd/23 --preserve-credentials" +
        " --setuid 0 --setgid 0 -- ls -l",
    );
  });

  it("ignores signals at the end of all, but for those that Node leaves alone", () => {
    expect(planCommand({ command, privateProc: true, ignoredSignals: [1, 3, 34] })).toEqual([
      "unshare",
      "--mount-proc",
      "--",
      "/bin/bash",
      "-pc",
      'trap "" 1 3; exec "$@"',
      "bash",
      "ls",
      "-l",
    ]);
    expect(planCommand({ command, privateProc: false, ignoredSignals: [34] })).toEqual(command);
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
  ["0 100000 99999999999", "ids end at 4294967294"],
  ["4294967295 0 1", "ids end at"],
  ["0 0 0", "no id is mapped"],
  ["4294967294 4294967294 1", undefined],
])("mapProblem(%j)", (line, problem) => {
  if (problem === undefined) expect(mapProblem(line)).toBeUndefined();
  else expect(mapProblem(line)).toContain(problem);
});
