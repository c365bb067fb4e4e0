import { describe, expect, it } from "vitest";
import { passedDescriptors } from "./listen-fds.ts";

describe("passedDescriptors", () => {
  it("returns descriptors and their names", () => {
    const env = { LISTEN_PID: "42", LISTEN_FDS: "3", LISTEN_FDNAMES: "a.socket:stored:" };
    expect(passedDescriptors(env, 42)).toEqual([
      { fd: 3, name: "a.socket" },
      { fd: 4, name: "stored" },
      { fd: 5, name: "" },
    ]);
  });

  it("returns descriptors without names", () => {
    const env = { LISTEN_PID: "42", LISTEN_FDS: "2" };
    expect(passedDescriptors(env, 42)).toEqual([
      { fd: 3, name: "" },
      { fd: 4, name: "" },
    ]);
  });

  it.each([
    {},
    { LISTEN_FDS: "1" },
    { LISTEN_PID: "41", LISTEN_FDS: "1" },
    { LISTEN_PID: "42" },
    { LISTEN_PID: "42", LISTEN_FDS: "" },
    { LISTEN_PID: "42", LISTEN_FDS: "0" },
    { LISTEN_PID: "42", LISTEN_FDS: "-1" },
    { LISTEN_PID: "42", LISTEN_FDS: "1.5" },
    { LISTEN_PID: "42", LISTEN_FDS: "one" },
  ])("returns nothing for %j", (env) => {
    expect(passedDescriptors(env, 42)).toEqual([]);
  });
});
