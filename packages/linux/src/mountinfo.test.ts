import { describe, expect, it } from "vitest";
import { parseMountinfo } from "./mountinfo.ts";

const HYBRID = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
38 31 0:31 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate
90 23 0:31 / /srv/a\\040b/c\\134d rw - cgroup2 none rw
91 23 0:31 /user.slice /mnt rw - cgroup2 none rw
`;

describe("parseMountinfo", () => {
  it("reads lines with and without optional fields, and undoes the escapes", () => {
    expect(parseMountinfo(HYBRID)).toEqual([
      { root: "/", mountPoint: "/sys/fs/cgroup", fileSystem: "tmpfs" },
      { root: "/", mountPoint: "/sys/fs/cgroup/unified", fileSystem: "cgroup2" },
      { root: "/", mountPoint: "/srv/a b/c\\d", fileSystem: "cgroup2" },
      { root: "/user.slice", mountPoint: "/mnt", fileSystem: "cgroup2" },
    ]);
  });

  it("skips lines in an unknown format", () => {
    expect(parseMountinfo("garbage\n1 2 0:1 /\n\n")).toEqual([]);
  });
});
