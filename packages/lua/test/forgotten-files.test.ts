/** Files that a script has opened and never closes, as scripts for LuaJIT may. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { freeMemory } from "@cm4all/linux";
import { describe, expect, it, vi } from "vitest";
import { account, handler, TestHosts } from "./host-support.ts";
import { TestScript } from "./script.ts";

const PATIENCE = { timeout: 20_000, interval: 20 };

/** Returns the paths in a directory to which descriptors of this process refer. */
function openBelow(directory: string): string[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      const path = readlinkSync(`/proc/self/fd/${fd}`);
      return path.startsWith(directory) ? [path] : [];
    } catch {
      // This was the descriptor of readdir, which is closed now.
      return [];
    }
  });
}

const HERE = 'DIR = debug.getinfo(1, "S").source:match("^@(.*)/")';

/** Loads a script, which has the path of its own directory in DIR. */
function load(code: string): TestScript {
  return new TestScript(`${HERE} ${code}`);
}

describe("a file that nothing refers to", () => {
  it.each([
    "io.open(FILE):read(1)",
    "io.open(FILE, 'a'):write('x')",
    "io.lines(FILE)()",
    "io.open(FILE):lines()()",
    "io.input(FILE) io.input(io.stdin)",
    "io.output(FILE) io.output(io.stdout)",
  ])("is closed, after %s", async (open) => {
    using script =
      load(`FILE = DIR .. "/file" local f = io.open(FILE, "w") f:write("x\\n") f:close()
      function cgroup_released() for i = 1, 100 do ${open} end end`);
    await script.handle();
    await vi.waitFor(() => {
      freeMemory();
      expect(openBelow(script.directory).length).toBeLessThanOrEqual(2);
    }, PATIENCE);
  });

  it("stays open as long as its iterator is used", async () => {
    using script = load(`local f = io.open(DIR .. "/file", "w") f:write("1\\n2\\n3\\n") f:close()
      next_line = io.open(DIR .. "/file"):lines()
      another = io.lines(DIR .. "/file")
      function cgroup_released() print(next_line(), another()) end`);
    for (const line of ["1\t1\n", "2\t2\n", "3\t3\n"]) {
      freeMemory();
      // Finalizers are called in later turns of the event loop.
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await script.handle()).toBe(line);
    }
  });

  it("contains all that was written to it, and a command gets all its input", async () => {
    using script = load(`io.open(DIR .. "/file", "w"):write("written")
      io.popen("cat >" .. DIR .. "/fed", "w"):write("fed")`);
    const read = (name: string) => readFileSync(join(script.directory, name), "utf8");
    await vi.waitFor(() => {
      freeMemory();
      expect(existsSync(join(script.directory, "fed")) && read("fed")).toBe("fed");
      expect(read("file")).toBe("written");
    }, PATIENCE);
  });
});

describe("at the end of a script", () => {
  const KEEP = `kept = io.open(DIR .. "/file", "w") kept:write("written")
    fed = io.popen("cat >" .. DIR .. "/fed", "w") fed:write("fed")`;

  it("open files are flushed and closed", () => {
    const script = load(KEEP);
    try {
      script.runtime.close();
      expect(openBelow(script.directory)).toEqual([]);
      expect(readFileSync(join(script.directory, "file"), "utf8")).toBe("written");
      expect(readFileSync(join(script.directory, "fed"), "utf8")).toBe("fed");
    } finally {
      script[Symbol.dispose]();
    }
  });

  it("open files are also flushed and closed if the script ends its process", async () => {
    using hosts = new TestHosts();
    const code = `DIR = ${JSON.stringify(hosts.directory)} ${KEEP}`;
    const host = await hosts.start(`${code} ${handler("os.exit(3)")}`);
    try {
      expect(await account(host)).toMatchObject({ type: "interrupted" });
      expect(readFileSync(join(hosts.directory, "file"), "utf8")).toBe("written");
      expect(readFileSync(join(hosts.directory, "fed"), "utf8")).toBe("fed");
    } finally {
      await hosts.stopAll();
    }
  });
});

it("__gc closes a file, once", () => {
  using script = load(`local f = io.open(DIR .. "/file", "w")
    local gc = getmetatable(f).__gc
    gc(f) gc(f) gc(io.stdout)
    print(io.type(f), io.type(io.stdout))`);
  expect(script.printed).toBe("closed file\tfile\n");
});
