import { describe, expect, it } from "vitest";
import { misfitOf, parseUnit } from "./unit.ts";

const NAME = "cm4all-spawn-accounting@3-107-0.service";
const SLICE = "/system.slice/system-cm4all.slice";

describe("parseUnit", () => {
  const unit = { name: NAME, cgroup: `${SLICE}/${NAME}` };
  it.each([
    ["cgroup2 alone", `0::${SLICE}/${NAME}\n`],
    ["beside v1 controllers", `9:pids:/\n1:name=systemd:/\n0::${SLICE}/${NAME}\n`],
    ["v1", `2:cpu,cpuacct:/\n1:name=systemd:${SLICE}/${NAME}\n`],
    ["a cgroup below the unit's", `0::${SLICE}/${NAME}/below\n`],
  ])("finds the unit: %s", (_, text) => {
    expect(parseUnit(text, 107)).toEqual(unit);
  });

  it.each([
    ["up to systemd 257", "3-107-0"],
    ["since systemd 258", "3-4711-107-0"],
    [
      "since systemd 258, with the pidfd's inode",
      "3-18446744073709551615-107_18446744073709551615-0",
    ],
  ])("finds the pid in an instance's name: %s", (_, instance) => {
    const name = `cm4all-spawn-accounting@${instance}.service`;
    const text = `0::${SLICE}/${name}\n`;
    expect(parseUnit(text, 107)).toEqual({ name, cgroup: `${SLICE}/${name}` });
    // Neither the connection's number nor the socket's cookie nor the uid is the pid.
    for (const other of [3, 4711, 0]) expect(parseUnit(text, other)).toBeUndefined();
  });

  it.each([
    ["an empty string", ""],
    ["the unit of another daemon", `0::${SLICE}/${NAME.replace("107", "108")}\n`],
    ["the unit of another user", `0::${SLICE}/${NAME.replace("-0.", "-1000.")}\n`],
    [
      "the unit of another user, since systemd 258",
      `0::${SLICE}/${NAME.replace("107-0", "9-107_8-1000")}\n`,
    ],
    ["a name without the connection's number", `0::${SLICE}/${NAME.replace("@3-", "@")}\n`],
    ["another kind of unit", `0::${SLICE}/cm4all-spawn.service\n`],
    ["a name with something before it", `0::${SLICE}/x-${NAME}\n`],
    ["a name with something after it", `0::${SLICE}/${NAME}x\n`],
    ["the cgroup of a v1 controller", `4:memory:${SLICE}/${NAME}\n0::/\n`],
  ])("finds no unit of ours in: %s", (_, text) => {
    expect(parseUnit(text, 107)).toBeUndefined();
  });
});

describe("misfitOf", () => {
  const fit = { name: NAME, uid: 990, memoryMax: "", wantedUid: undefined, neededMiB: 384 };
  it.each([
    ["any user", {}],
    ["the named user", { wantedUid: 990 }],
    ["root, if it is named", { uid: 0, wantedUid: 0 }],
    ["no limit", { memoryMax: "max\n" }],
    ["enough memory", { memoryMax: `${384 * 1024 * 1024}\n` }],
  ])("accepts a unit with %s", (_, more) => {
    expect(misfitOf({ ...fit, ...more })).toBeUndefined();
  });

  it.each([
    [
      "another user",
      { wantedUid: 991 },
      `User= of ${NAME} has the uid 990, but accounting.user has 991`,
    ],
    ["root", { uid: 0 }, `User= of ${NAME} is root, but accounting.user does not name root`],
    [
      "too little memory",
      { memoryMax: `${383 * 1024 * 1024}\n` },
      `MemoryMax= of ${NAME} is 383 MiB, but with accounting.memory_mib the script may need 384 MiB`,
    ],
  ])("refuses a unit with %s", (_, more, reason) => {
    expect(misfitOf({ ...fit, ...more })).toBe(reason);
  });
});
