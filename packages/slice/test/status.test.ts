/** `status` on a made-up cgroup2, on the real one, and on a terminal. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { EX_UNAVAILABLE, EX_USAGE } from "@cm4all/command";
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { findCgroup2 } from "../src/cgroup.ts";
import { copyProgram, type Result, run } from "./program.ts";

let bundle: BundleCopy;
let root: string;
beforeAll(() => {
  bundle = copyProgram();
});
afterAll(() => {
  bundle[Symbol.dispose]();
});
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "slice-status-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

const SLICE = "system.slice/system-cm4all.slice";

function makeCgroup(path: string, files: Record<string, string>): void {
  const directory = join(root, SLICE, path);
  mkdirSync(directory, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
}

function makeTree(): void {
  makeCgroup("", {
    "cpu.stat": "usage_usec 12340000\nuser_usec 1\n",
    "memory.current": "1073741824\n",
    "memory.peak": "2147483648\n",
    "memory.high": "max\n",
    "memory.max": "4294967296\n",
    "memory.swap.current": "0\n",
    "memory.swap.max": "max\n",
    "memory.zswap.current": "4096\n",
    "pids.current": "12\n",
    "pids.peak": "20\n",
    "pids.max": "1000\n",
  });
  makeCgroup("bp-spawn.scope", { "cpu.stat": "usage_usec 1000000\n", "pids.current": "7\n" });
  makeCgroup("bp-spawn.scope/customer", { "pids.current": "3\n" });
  makeCgroup("system-cm4all-web.slice", {});
  makeCgroup("system-cm4all-web.slice/workshop-spawn.scope", { "memory.current": "2048\n" });
}

function status(...args: string[]): Result {
  const env = { PATH: process.env["PATH"], LC_ALL: "C.UTF-8" };
  return run(bundle, ["status", "--cgroup-root", root, ...args], { env });
}

describe("status", () => {
  it("shows the tree, with a dash where a controller is missing", () => {
    makeTree();
    expect(status().stdout).toMatchInlineSnapshot(`
      "UNIT                       CPU TIME  MEMORY  PEAK  LIMIT  SWAP  TASKS  LIMIT
      system-cm4all.slice          12.34s    1.0G  2.0G   4.0G    0B     12   1000
      ├─bp-spawn.scope              1.00s       -     -      -     -      7      -
      └─system-cm4all-web.slice         -       -     -      -     -      -      -
        └─workshop-spawn.scope          -    2.0K     -      -     -      -      -
      "
    `);
  });

  it("shows the cgroups inside scopes on request", () => {
    makeTree();
    expect(status("--all").stdout).toMatch(/^├─bp-spawn\.scope .*\n│ └─customer .* 3 +-$/m);
  });

  it("shows a nested slice alone", () => {
    makeTree();
    expect(status("web").stdout.split("\n")[1]).toMatch(/^system-cm4all-web\.slice/);
  });

  it("prints JSON without a key for a missing value", () => {
    makeTree();
    expect(JSON.parse(status("--json").stdout)).toEqual({
      name: "system-cm4all.slice",
      cpuUsec: 12340000,
      memoryBytes: 1073741824,
      memoryPeakBytes: 2147483648,
      memoryHighBytes: "infinity",
      memoryMaxBytes: 4294967296,
      swapBytes: 0,
      swapMaxBytes: "infinity",
      zswapBytes: 4096,
      tasks: 12,
      tasksPeak: 20,
      tasksMax: 1000,
      children: [
        { name: "bp-spawn.scope", cpuUsec: 1000000, tasks: 7, children: [] },
        {
          name: "system-cm4all-web.slice",
          children: [{ name: "workshop-spawn.scope", memoryBytes: 2048, children: [] }],
        },
      ],
    });
  });

  it("reports that the slice is not active", () => {
    const { status: exit, stderr } = status();
    expect(stderr).toBe(
      `cm4all-slice: system-cm4all.slice is not active: there is no ${root}/${SLICE}\n`,
    );
    expect(exit).toBe(EX_UNAVAILABLE);
  });

  it("refuses an invalid interval", () => {
    expect(status("-n", "0")).toMatchObject({ status: EX_USAGE });
  });
});

const cgroup2 = missing("root", "cgroup2");

describe.skipIf(cgroup2 !== undefined)("on the real cgroup2", () => {
  it("shows the kernel's figures", async () => {
    const mount = findCgroup2() ?? "";
    const top = join(mount, `slice-test-${process.pid}`);
    const scope = join(top, SLICE, "bp-spawn.scope");
    const made = [top, join(top, "system.slice"), join(top, SLICE), scope];
    const child = spawn("sleep", ["60"]);
    try {
      for (const directory of made) mkdirSync(directory);
      writeFileSync(join(scope, "cgroup.procs"), String(child.pid));
      const { stdout } = run(bundle, ["status", "--json", "--cgroup-root", top]);
      const tree = JSON.parse(stdout);
      expect(tree.children).toEqual([expect.objectContaining({ name: "bp-spawn.scope" })]);
      const shown = tree.children[0];
      expect(shown.cpuUsec).toBeTypeOf("number");
      expect("memoryBytes" in shown).toBe(existsSync(join(scope, "memory.current")));
      expect(shown.tasks).toBe(existsSync(join(scope, "pids.current")) ? 1 : undefined);
    } finally {
      child.kill("SIGKILL");
      await once(child, "exit");
      for (const directory of made.reverse()) rmdirSync(directory);
    }
  });

  it("finds the mount point", () => {
    const { stderr } = run(bundle, ["status", "not-there"]);
    expect(stderr).toContain(`there is no ${findCgroup2()}/system.slice/system-cm4all.slice/`);
  });
});

describe("status --watch", () => {
  const start = (...args: string[]): ChildProcess =>
    spawn(process.execPath, [bundle.program, "status", "--cgroup-root", root, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
    });

  it("prints JSON lines until SIGINT, even before the slice exists", async () => {
    const child = start("-n", "0.1", "--json");
    const [exited, lines] = [once(child, "exit"), []] as [Promise<unknown[]>, object[]];
    for await (const line of createInterface({ input: child.stdout ?? process.stdin })) {
      lines.push(JSON.parse(line));
      if (lines.length === 1) makeTree();
      if (Object.keys(lines.at(-1) ?? {}).length > 0) child.kill("SIGINT");
    }
    expect(await exited).toEqual([0, null]);
    expect(lines[0]).toEqual({});
    expect(lines.at(-1)).toMatchObject({ name: "system-cm4all.slice", tasks: 12 });
  });

  it("ends when nobody reads its output", async () => {
    makeTree();
    const child = start("-n", "0.1");
    const exited = once(child, "exit");
    child.stdout?.once("data", () => child.stdout?.destroy());
    expect(await exited).toEqual([0, null]);
  });

  /**
   * Runs `status` on a terminal that script(1) creates, and calls `end` when the second frame is
   * shown. Returns what was written to the terminal, the exit status, and "restored" if stty(1)
   * finds the terminal as it was before.
   */
  async function onTerminal(end: (child: ChildProcess, pid: number) => void): Promise<string> {
    const command = `stty -a >before; sh -c 'echo $$ >pid; exec "$NODE" "$PROGRAM" status --cgroup-root . -n 0.1'; echo "exit $?"; stty -a >after; cmp before after && echo restored`;
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      cwd: root,
      env: { ...process.env, NODE: process.execPath, PROGRAM: bundle.program, LC_ALL: "C.UTF-8" },
      stdio: ["pipe", "pipe", "inherit"],
      timeout: 20_000,
    });
    const exited = once(child, "exit");
    let shown = "";
    let ending = false;
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      shown += text;
      // The second frame shows the CPU usage since the first one.
      if (ending || !shown.includes("0.0  ")) return;
      ending = true;
      end(child, Number(readFileSync(join(root, "pid"), "utf8")));
    });
    await exited;
    return shown.replaceAll("\r", "");
  }

  it.each([
    ["q", (child: ChildProcess) => child.stdin?.write("q")],
    ["Control-C", (child: ChildProcess) => child.stdin?.write("\x03")],
    ["SIGINT", (_: ChildProcess, pid: number) => process.kill(pid, "SIGINT")],
    ["SIGTERM", (_: ChildProcess, pid: number) => process.kill(pid, "SIGTERM")],
  ])("draws on a terminal until %s, and restores it", async (_, end) => {
    makeTree();
    const shown = await onTerminal(end);
    expect(shown.startsWith(`${ENTER}\x1b[Hsystem-cm4all.slice  `)).toBe(true);
    expect(shown).toContain("every 0.1s, q quits");
    expect(shown).toContain("├─bp-spawn.scope");
    expect(shown.endsWith(`${LEAVE}exit 0\nrestored\n`)).toBe(true);
  });

  it("restores the terminal when it fails", async () => {
    makeTree();
    const shown = await onTerminal(() => {
      rmSync(join(root, SLICE, "cpu.stat"));
      mkdirSync(join(root, SLICE, "cpu.stat"));
    });
    expect(shown.split(LEAVE)[1]).toMatch(
      /^cm4all-slice: cannot read .*: EISDIR: .*\nexit 74\nrestored\n$/,
    );
  });
});
