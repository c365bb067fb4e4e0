/** All or nothing: whatever fails, nothing is left, and the last line of output says why. */
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { buildTestProgram, copyProgram } from "./program.ts";
import { Sandbox } from "./sandbox.ts";

const SCRIPT = "/etc/cm4all/spawn/netns/setup.d/web";
const TOML = "/etc/cm4all/spawn/netns/web.toml";

describe.skipIf(missing("root", "iproute2") !== undefined)("a failing up", () => {
  let program: BundleCopy;
  let driver: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(async () => {
    program = copyProgram();
    driver = await buildTestProgram("driver");
  });
  afterAll(() => {
    program[Symbol.dispose]();
    driver[Symbol.dispose]();
  });
  beforeEach(async () => {
    sandbox = await Sandbox.make();
    sandbox.output("mkdir", "/run/netns", "/run/cm4all-spawn-netns");
  });
  afterEach(() => sandbox.dispose());

  const run = (...args: string[]) => sandbox.run("node", program.program, ...args);

  /** Runs the program, and checks that everything is as before. */
  const fail = (...args: string[]) => {
    const before = sandbox.state();
    const result = run(...args);
    expect(sandbox.state()).toBe(before);
    return {
      status: result.status,
      stdout: result.stdout,
      lines: result.stderr.trim().split("\n"),
    };
  };

  describe("because of its script", () => {
    it.each([
      ["exit 3", "exited with status 3"],
      ["ip address add 10.0.5.2/24 dev net0; exit 1", "exited with status 1"],
      ["kill -SEGV $$", "was killed by SIGSEGV"],
      ["kill -34 $$", "was killed by signal 34"],
      ["sleep 1000 & exit 1", "exited with status 1"],
      ["setsid sleep 1000 & exit 1", "exited with status 1"],
      ["umount /sys; ip netns exec web sleep 1000 & sleep 0.1; exit 1", "exited with status 1"],
    ])("%s", (text, reason) => {
      sandbox.writeScript("web", `#!/bin/sh\necho out; echo err >&2\n${text}\n`);
      const { status, stdout, lines } = fail("up", "web");
      expect(status).toBe(1);
      expect(stdout).toBe("out\n");
      expect(lines[0]).toBe("err");
      expect(lines.at(-1)).toBe(
        `cm4all-spawn-netns: ${SCRIPT} ${reason}; everything has been undone`,
      );
    });

    it("that cannot be executed", () => {
      sandbox.writeScript("web", "#!/nonesuch\n");
      expect(fail("up", "web")).toMatchObject({
        status: 78,
        lines: [`cm4all-spawn-netns: ${SCRIPT}: its interpreter /nonesuch does not exist`],
      });
      sandbox.writeScript("web", "#!/bin/sh\r\nexit 0\r\n");
      expect(fail("check", "web")).toMatchObject({
        status: 78,
        lines: [
          `cm4all-spawn-netns: ${SCRIPT}: its first line ends with a carriage return, as in DOS; dos2unix(1) helps`,
        ],
      });
    });

    it.each([
      ["hangs", "sleep 1000", 0],
      ["hangs, as do other processes of its group", "sleep 1000 & sleep 1000 & wait", 0],
      ["ignores SIGTERM", "trap '' TERM; while :; do sleep 1; done", 5000],
    ])("that %s", (_, text, minimumMs) => {
      sandbox.writeScript("web", `#!/bin/sh\n${text}\n`);
      const start = Date.now();
      const { status, lines } = fail("up", "--script-timeout", "0.2", "web");
      expect(status).toBe(124);
      expect(Date.now() - start).toBeGreaterThan(minimumMs);
      expect(lines.at(-1)).toBe(
        `cm4all-spawn-netns: ${SCRIPT} did not end within 0.2 s; everything has been undone`,
      );
    });

    it("that is missing, with no description either", () => {
      const { status, lines } = fail("up", "web");
      expect(status).toBe(66);
      expect(lines).toEqual([
        `cm4all-spawn-netns: there is neither a script ${SCRIPT} nor a description ${TOML}, nor a template /etc/cm4all/spawn/netns/default.toml`,
      ]);
    });

    it.each([
      ["644", "not executable; chmod +x helps"],
      ["757", "writable by others; chmod o-w helps"],
    ])("of mode %s", (mode, problem) => {
      sandbox.writeScript("web", "#!/bin/sh\n", mode);
      expect(fail("up", "web")).toMatchObject({
        status: 78,
        lines: [`cm4all-spawn-netns: ${SCRIPT}: ${problem}`],
      });
    });

    it("that is a directory", () => {
      sandbox.output("mkdir", SCRIPT);
      expect(fail("up", "web")).toMatchObject({
        status: 78,
        lines: [`cm4all-spawn-netns: ${SCRIPT}: not a regular file`],
      });
    });
  });

  it.each([
    ["TERM", 143],
    ["INT", 130],
    ["HUP", 129],
  ])("because of SIG%s while the script runs", (signal, expected) => {
    sandbox.writeScript("web", `#!/bin/sh\nkill -${signal} $PPID\nsleep 1000 & sleep 1000\n`);
    const { status, lines } = fail("up", "web");
    expect(status).toBe(expected);
    expect(lines.at(-1)).toBe(
      `cm4all-spawn-netns: ended by SIG${signal}; everything has been undone`,
    );
  });

  it("because of a signal that comes as the script ends", () => {
    sandbox.writeScript("web", "#!/bin/sh\nkill -TERM $PPID\n");
    expect(fail("up", "web").status).toBe(143);
  });

  describe("because of its description", () => {
    it("names every mistake before anything is made", () => {
      sandbox.writeScript("web", "#!/bin/sh\n", "644");
      sandbox.writeDescription("web", '[inside]\nmtu = 1\ngateway = "x"\n[sysct]\n');
      expect(fail("up", "web")).toMatchObject({
        status: 78,
        lines: [
          `cm4all-spawn-netns: ${TOML}:2: inside.mtu: 1 is too small: at least 68`,
          `${TOML}:3: "x" is not an address`,
          `${TOML}:4: sysct: unknown key; known here: dns, firewall, inside, link, outside, sysctl`,
          `${SCRIPT}: not executable; chmod +x helps`,
        ],
      });
    });

    it("names a setting that the kernel does not have", () => {
      sandbox.writeDescription("web", "[sysctl]\nnet.ipv4.nonesuch = 1\n");
      expect(fail("up", "web")).toMatchObject({
        status: 78,
        lines: [
          `cm4all-spawn-netns: ${TOML}:2: net.ipv4.nonesuch is not a setting of a network namespace on this kernel; everything has been undone`,
        ],
      });
    });

    it("names the line that the kernel refuses, with the kernel's error", () => {
      // A gateway that is the address of another link.
      const text =
        '[[link]]\n[link.inside]\naddresses = ["fd00:6::2/64"]\n' +
        '[[link]]\n[link.outside]\nname = "b"\n[link.inside]\naddresses = ["fd00:5::2/64"]\n' +
        '[[link.inside.routes]]\nto = "fd00:9::/64"\nvia = "fd00:6::2"\nonlink = true\n';
      sandbox.writeDescription("web", text);
      const { status, lines } = fail("up", "web");
      expect(status).toBe(71);
      expect(lines.at(-1)).toMatch(
        /web\.toml:9: RTM_NEWROUTE\(.*\): E[A-Z]+: .* \(the kernel says: .*\); everything has been undone$/,
      );
      expect(fail("check", "web").lines.at(-1)).toMatch(/web\.toml:9: RTM_NEWROUTE\(.*\): E/);
      sandbox.writeDescription("web", "[sysctl]\nnet.ipv4.ip_forward = 'x'\n");
      expect(fail("up", "web").lines.at(-1)).toMatch(
        /web\.toml:2: EINVAL: .*; everything has been undone$/,
      );
    });

    it("leaves alone a resolv.conf that somebody else made", () => {
      sandbox.write("/etc/netns/web/resolv.conf", "nameserver 9.9.9.9\n");
      sandbox.writeDescription("web", '[dns]\nservers = ["10.0.5.1"]\n');
      expect(fail("up", "web").status).toBe(73);
      expect(sandbox.output("cat", "/etc/netns/web/resolv.conf")).toBe("nameserver 9.9.9.9\n");
    });

    it("that contradicts the command line", () => {
      const text = '[outside]\naddresses = ["10.0.5.1/24"]\nroutes = [{ to = "10.9.0.0/16" }]\n';
      sandbox.writeDescription("web", text);
      expect(fail("up", "--no-host-up", "web")).toMatchObject({
        status: 78,
        lines: [
          `cm4all-spawn-netns: ${TOML}:3: a route needs a link that is up, but --no-host-up is given`,
        ],
      });
    });
  });

  describe("because of its name", () => {
    it.each(["", "x234567890123456", "a/b", "a:b", "a%b", "a b", ".", "..", "a\u0007"])(
      "%j",
      (name) => {
        for (const command of ["up", "down", "check"]) {
          const { status, lines } = fail(command, name);
          expect(status).toBe(64);
          expect(lines).toHaveLength(1);
          expect(lines[0]).toContain("cm4all-spawn-netns: ");
        }
      },
    );

    beforeEach(() => sandbox.writeScript("web", "#!/bin/sh\n"));

    it("which a link has already", () => {
      sandbox.output("ip", "link", "add", "web", "type", "bridge");
      const expected = {
        status: 73,
        lines: ["cm4all-spawn-netns: a network interface web exists already"],
      };
      expect(fail("up", "web")).toMatchObject(expected);
      expect(fail("check", "web")).toMatchObject(expected);
    });

    it("which another link has as an alternative name", () => {
      sandbox.output("ip", "link", "add", "br0", "type", "bridge");
      sandbox.output("ip", "link", "property", "add", "dev", "br0", "altname", "web");
      expect(fail("up", "web").status).toBe(73);
    });

    it("which somebody else's namespace has", () => {
      sandbox.output("ip", "netns", "add", "web");
      const inode = () => sandbox.output("stat", "-c", "%i", "/run/netns/web");
      const before = inode();
      expect(fail("up", "web")).toMatchObject({
        status: 73,
        lines: [
          "cm4all-spawn-netns: the network namespace web exists already; another program made it (/run/netns/web)",
        ],
      });
      expect(fail("check", "web").status).toBe(73);
      expect(inode()).toBe(before);
    });

    it("which a namespace of ours has", () => {
      expect(run("up", "web").status).toBe(0);
      const expected = {
        status: 73,
        lines: [
          'cm4all-spawn-netns: the network namespace web exists already; "down web" deletes it',
        ],
      };
      expect(fail("up", "web")).toMatchObject(expected);
      expect(fail("check", "web")).toMatchObject(expected);
      expect(run("down", "web").status).toBe(0);
    });

    it("which belongs to a file that is not a namespace", () => {
      sandbox.write("/run/netns/web", "");
      expect(fail("up", "web")).toMatchObject({
        status: 73,
        lines: ["cm4all-spawn-netns: /run/netns/web exists, but is not a network namespace"],
      });
    });
  });

  it("without root, reported in one line", () => {
    sandbox.writeScript("web", "#!/bin/sh\n");
    const nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"];
    for (const args of [
      ["up", "web"],
      ["down", "web"],
      ["list"],
      ["check", "web"],
      ["exec", "web", "true"],
    ])
      expect(sandbox.run(...nobody, "node", program.program, ...args)).toMatchObject({
        status: 77,
        stdout: "",
        stderr: "cm4all-spawn-netns: needs root, to make and enter network namespaces\n",
      });
    expect(sandbox.run(...nobody, "node", program.program, "--help").status).toBe(0);
  });

  describe("at any step", () => {
    const description = `
[outside]
addresses = ["10.0.5.1/24"]
[inside]
addresses = ["10.0.5.2/24", "fd00:5::2/64"]
gateway = "10.0.5.1"
[sysctl]
net.ipv4.ip_forward = 1
[dns]
servers = ["10.0.5.1"]
`;
    const disturbed = (mode: string, step: number) =>
      sandbox.run("node", driver.program, "web", mode, String(step));

    beforeEach(() => {
      sandbox.writeDescription("web", description);
      const daemon =
        "setsid sleep 1000 >/dev/null 2>&1 &\nuntil pgrep -x sleep >/dev/null; do :; done\n";
      sandbox.writeScript("web", `#!/bin/sh\n${daemon}`);
    });

    it.each([
      ["fail", 71, /^failed at [a-z-]+; everything has been undone$/],
      ["signal", 143, /^ended by SIGTERM; everything has been undone$/],
    ])("%s: nothing is left", (mode, expected, message) => {
      const before = sandbox.state();
      let steps = 0;
      for (; ; steps++) {
        const { status, stderr } = disturbed(mode, steps);
        if (status === 0) break;
        expect(sandbox.state()).toBe(before);
        expect(status).toBe(expected);
        expect(stderr.trim()).toMatch(message);
      }
      expect(steps).toBe(12);
    });

    it("failure of a step and of an undo: the rest is undone, and the next up removes what is left", () => {
      const { status, stderr } = disturbed("fail-also-undo", 11);
      expect(status).toBe(71);
      expect(stderr).toBe("cannot undo: cannot\nfailed at run-script\n");
      expect(run("up", "web").status).toBe(0);
      expect(run("down", "web").status).toBe(0);
    });

    it.each(["kill-before", "kill-after"])(
      "%s: up works again, and so does down",
      (mode) => {
        const before = sandbox.state();
        for (let step = 0; step < 12; step++) {
          expect(disturbed(mode, step).signal).toBe("SIGKILL");
          expect(run("check", "web").status).toBe(0);
          expect(run("up", "web")).toMatchObject({ status: 0, stderr: "" });
          sandbox.output("ip", "netns", "exec", "web", "ping", "-c1", "-n", "-q", "10.0.5.1");
          expect(run("down", "web").status).toBe(0);
          expect(disturbed(mode, step).signal).toBe("SIGKILL");
          expect(run("down", "web")).toMatchObject({ status: 0, stderr: "" });
          // Kills the processes that the scripts have left in namespaces that were taken down.
          sandbox.output("sh", "-c", "kill $(pgrep -x sleep); while pgrep -x sleep; do :; done");
          expect(sandbox.state()).toBe(before);
        }
      },
      300_000,
    );

    it("kill while the script runs: the next up ends that script", async () => {
      const sleeps = "sleep 1000 &\nuntil pgrep -x sleep >/dev/null; do :; done\n";
      sandbox.writeScript("web", `#!/bin/sh\n${sleeps}echo $PPID\nwait\n`);
      const started = sandbox.start("node", program.program, "up", "web");
      const pid = (await started.printed(/^\d+\n/)).trim();
      sandbox.output("kill", "-KILL", pid);
      await started.exited();
      expect(sandbox.output("ps", "-e", "-o", "args=")).toContain("sleep 1000");
      sandbox.writeScript("web", "#!/bin/sh\n");
      expect(run("check", "web").stdout).toContain("remove what an unfinished up or down has left");
      expect(run("up", "web").status).toBe(0);
      expect(sandbox.output("ps", "-e", "-o", "args=")).not.toContain("sleep 1000");
    });

    it("kill of a down: up works again, and processes of the namespace keep running", () => {
      run("up", "web");
      // The record as it is after the first step of down.
      sandbox.output("sed", "-i", "s/complete/removing/", "/run/cm4all-spawn-netns/web.json");
      sandbox.output("ip", "link", "delete", "web");
      sandbox.writeScript("web", "#!/bin/sh\n");
      expect(run("up", "web")).toMatchObject({ status: 0, stderr: "" });
      expect(sandbox.output("ps", "-e", "-o", "args=")).toContain("sleep 1000");
    });

    it("kill, then deletion of the name while a process keeps the link: up works again", () => {
      disturbed("kill-after", 11);
      sandbox.output("ip", "netns", "delete", "web");
      expect(sandbox.output("ip", "-br", "link")).toContain("web");
      expect(run("up", "web")).toMatchObject({ status: 0, stderr: "" });
    });

    it("kill, then a namespace of somebody else with the name: that namespace stays", () => {
      disturbed("kill-after", 1);
      sandbox.output("ip", "netns", "delete", "web");
      sandbox.output("ip", "netns", "add", "web");
      const inode = () => sandbox.output("stat", "-c", "%i", "/run/netns/web");
      const before = inode();
      expect(run("up", "web").status).toBe(73);
      expect(inode()).toBe(before);
    });

    it("power cut, with a /run that was kept: up works again", () => {
      disturbed("kill-after", 11);
      const record = "/run/cm4all-spawn-netns/web.json";
      const boot = "00000000-0000-0000-0000-000000000000";
      sandbox.output("sed", "-i", `s/"bootId":"[^"]*"/"bootId":"${boot}"/`, record);
      sandbox.output("umount", "/run/netns/web");
      sandbox.output("ip", "link", "delete", "web");
      expect(run("up", "web")).toMatchObject({ status: 0, stderr: "" });
    });
  });
});
