/** Tests what a script, and a program that it starts, cannot do. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { account, handler, TestHosts } from "./host-support.ts";

let hosts: TestHosts;
beforeAll(() => {
  hosts = new TestHosts();
});
afterEach(() => hosts.stopAll());
afterAll(() => hosts?.[Symbol.dispose]());

const USER = { uid: 65534, gid: 65534 };

/** System calls that change nothing, and the errno that an unprivileged user gets from Linux. */
const CALLS: Readonly<Record<string, { numbers: [number, number]; args: string; errno: string }>> =
  {
    mount: { numbers: [165, 40], args: "0, 0, 0, 0, 0", errno: "EFAULT" },
    setns: { numbers: [308, 268], args: "-1, 0", errno: "EBADF" },
    unshare: { numbers: [272, 97], args: "1", errno: "EINVAL" },
    ptrace: { numbers: [101, 117], args: "16, 2147483647, 0, 0", errno: "ESRCH" },
    pidfd_getfd: { numbers: [438, 438], args: "-1, 0, 0", errno: "EBADF" },
    process_vm_readv: { numbers: [310, 270], args: "0, 0, 0, 0, 0, 1", errno: "EINVAL" },
    // CLONE_NEWPID with CLONE_THREAD.
    clone: { numbers: [56, 220], args: "0x20010000, 0, 0, 0, 0", errno: "EINVAL" },
    keyctl: { numbers: [250, 219], args: "-1, 0, 0, 0, 0", errno: "EOPNOTSUPP" },
  };

const number = ([x64, arm64]: [number, number]) => (process.arch === "arm64" ? arm64 : x64);

/** A program in Perl, which every Debian has, that prints the errno of each call. */
const PROGRAM = Object.entries(CALLS)
  .map(
    ([name, { numbers, args }]) =>
      `{ local $! = 0; my $r = syscall(${number(numbers)}, ${args}); my @e = grep { $!{$_} } keys %!; print "${name} $r @e\\n"; }`,
  )
  .join("\n");

const errnosOf = (printed: string) =>
  Object.fromEntries(
    printed
      .trim()
      .split("\n")
      .map((line) => {
        const [name, result, ...names] = line.split(" ");
        // Some errors have two names.
        const known = names.filter((each) => !["ENOTSUP", "EWOULDBLOCK"].includes(each));
        return [name, result === "-1" ? known.join() : "no error"];
      }),
  );

describe.skipIf(missing("root") !== undefined)("a script and its children", () => {
  it("cannot make system calls that they do not need", async () => {
    const program = join(hosts.directory, "calls.pl");
    writeFileSync(program, `use Errno;\n$| = 1;\n${PROGRAM}`);
    // Outside a script host, the same calls by the same user fail with other errors.
    const { stdout, stderr } = spawnSync("perl", [program], { ...USER, encoding: "utf8" });
    const wanted = Object.fromEntries(
      Object.entries(CALLS).map(([name, { errno }]) => [name, errno]),
    );
    expect([errnosOf(stdout), stderr]).toEqual([wanted, ""]);
    const host = await hosts.start(handler(`print(io.popen('perl ${program}'):read('*a'))`), USER);
    expect(await account(host)).toEqual({ type: "done" });
    const refused = Object.fromEntries(Object.keys(CALLS).map((name) => [name, "EPERM"]));
    expect(errnosOf(hosts.printed)).toEqual(refused);
  });

  it("have only the descriptors 0, 1 and 2", async () => {
    // The script host inherits descriptor 200, as if the daemon had been started with it open.
    const program = join(hosts.directory, "inherit.cjs");
    writeFileSync(
      program,
      `require("node:child_process")
        .spawn("bash", ["-c", 'exec 200</dev/null; exec "$0" "$1"', process.execPath, ${JSON.stringify(hosts.program)}], { stdio: [0, 1, 2, 3] })
        .on("exit", () => process.exit(0));`,
    );
    const host = await hosts.start(
      handler(
        "print(io.popen('ls /proc/self/fd; grep -E \"NoNewPrivs|Seccomp:\" /proc/self/status'):read('*a'))",
      ),
      { ...USER, program: [program] },
    );
    expect(await account(host)).toEqual({ type: "done" });
    // 3 is the directory that ls reads.
    expect(hosts.printed.trim().split(/\s+/)).toEqual([
      "0",
      "1",
      "2",
      "3",
      "NoNewPrivs:",
      "1",
      "Seccomp:",
      "2",
    ]);
  });

  it("cannot look into the script host, nor can other processes of its user", async () => {
    const host = await hosts.start(handler("coroutine.yield()"), USER);
    void account(host);
    const victim = spawn("sleep", ["1000"], { ...USER, stdio: "ignore" });
    try {
      await once(victim, "spawn");
      // The same attempts on a process that is not protected, and on the script host.
      expect(intrude(victim.pid)).toEqual({ fd: "read", mem: "opened", pidfd_getfd: "got it" });
      expect(intrude(host.pid)).toEqual({ fd: "EACCES", mem: "EACCES", pidfd_getfd: "EPERM" });
    } finally {
      victim.kill("SIGKILL");
    }
  });
});

/** Tries to get at the descriptors and the memory of a process, as its user. */
function intrude(pid: number | undefined): Record<string, string> {
  const program = `
    use Errno;
    sub name { join ",", grep { $!{$_} } keys %!; }
    print "fd ", (defined readlink("/proc/${pid}/fd/0") ? "read" : name()), "\\n";
    print "mem ", (open(my $m, "<", "/proc/${pid}/mem") ? "opened" : name()), "\\n";
    my $p = syscall(434, ${pid}, 0);
    print "pidfd_getfd ", (syscall(438, $p, 0, 0) >= 0 ? "got it" : name()), "\\n";`;
  const { stdout } = spawnSync("perl", ["-e", program], { ...USER, encoding: "utf8" });
  return Object.fromEntries(
    stdout
      .trim()
      .split("\n")
      .map((line) => {
        const [what = "", ...result] = line.split(" ");
        return [what, result.join(" ")];
      }),
  );
}

it("a script host started by hand prints one line, which explains that the daemon starts it", () => {
  const { status, stderr } = spawnSync(process.execPath, [hosts.program], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({
    status: 64,
    stderr: "the daemon starts this program, with a socket as descriptor 3\n",
  });
});

describe.skipIf(missing("root") !== undefined)("a script host that cannot be confined", () => {
  it("ends with status 71 and one line of output, before it reads anything", () => {
    const command = 'mount -t tmpfs tmpfs /proc && exec "$@"';
    const host = ["sh", "-c", command, "sh", process.execPath, hosts.program];
    const { status, stdout, stderr } = spawnSync("unshare", ["--mount", ...host], {
      encoding: "utf8",
      // Node makes a socket pair for each of these, also for descriptor 3.
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    });
    expect(stderr).toMatch(/^cannot prepare the script's process: ENOENT: .*\n$/);
    expect({ status, stdout }).toEqual({ status: 71, stdout: "" });
  });
});
