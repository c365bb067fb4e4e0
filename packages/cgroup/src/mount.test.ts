import { parseMountinfo } from "@cm4all/linux/mountinfo";
import { describe, expect, it } from "vitest";
import { findCgroup2Mount } from "./mount.ts";

const HYBRID = `31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
38 31 0:31 / /sys/fs/cgroup/unified rw,nosuid shared:9 master:2 - cgroup2 cgroup2 rw,nsdelegate
90 23 0:31 / /srv/a\\040b/c\\134d rw - cgroup2 none rw
91 23 0:31 /user.slice /mnt rw - cgroup2 none rw
`;

describe("findCgroup2Mount", () => {
  it("takes the first mount of the whole hierarchy", () => {
    expect(findCgroup2Mount(parseMountinfo(HYBRID))).toBe("/sys/fs/cgroup/unified");
    expect(findCgroup2Mount(parseMountinfo(HYBRID).slice(3))).toBeUndefined();
  });
});
