import { describe, expect, it } from "vitest";
import { parseGroups, parseUser } from "./user.ts";

const passwd = `root:x:0:0:root:/root:/bin/bash
cm4all-spawn-reaper:x:993:992:CM4all Spawn Reaper:/nonexistent:/usr/sbin/nologin
empty:x:::::
minus:x:-1:4294967295::/:
short:x:1
`;

describe("parseUser and parseGroups", () => {
  it("find a user by the whole name", () => {
    expect(parseUser(passwd, "cm4all-spawn-reaper")).toEqual({
      name: "cm4all-spawn-reaper",
      uid: 993,
      gid: 992,
      home: "/nonexistent",
    });
    for (const name of ["cm4all-spawn", "x", "", "short", "nobody"])
      expect(parseUser(passwd, name)).toBeUndefined();
  });

  it("find only the groups that list the user", () => {
    const group = "root:x:0:\na:x:1:me\nb:x:2:you,me\nc:x:3:men,m e\nd:x:4\nme:x:5:\n";
    expect(parseGroups(group, "me")).toEqual([1, 2]);
    expect(parseGroups(group, "nobody")).toEqual([]);
    expect(() => parseGroups("x:x:+1:me\n", "me")).toThrow(
      "/etc/group: the uid or the gid is not valid",
    );
  });

  it.each(["empty", "minus"])("refuse ids that are not numbers (%s)", (name) => {
    expect(() => parseUser(passwd, name)).toThrow("the uid or the gid is not valid");
  });
});
