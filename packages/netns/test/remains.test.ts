/**
 * Namespaces are removed whatever other programs do to them, and whatever state the host is in.
 * `exec` is tested here, too.
 */
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { buildTestProgram, copyProgram } from "./program.ts";
import { type Result, Sandbox } from "./sandbox.ts";

const DNS = '[dns]\nservers = ["10.0.5.1"]\n';

describe.skipIf(missing("root", "iproute2", "strace") !== undefined)(
  "disturbed from outside",
  () => {
    let program: BundleCopy;
    let sandbox: Sandbox;
    beforeAll(() => {
      program = copyProgram();
    });
    afterAll(() => program[Symbol.dispose]());
    beforeEach(async () => {
      sandbox = await Sandbox.make();
      sandbox.output("mkdir", "/run/netns", "/run/cm4all-spawn-netns");
    });
    afterEach(() => sandbox.dispose());

    const run = (...args: string[]): Result => sandbox.run("node", program.program, ...args);
    const succeed = (...args: string[]): string => {
      const { status, stderr, stdout } = run(...args);
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      return stdout;
    };
    const links = () => sandbox.output("sh", "-c", "ip -br link | cut -d' ' -f1").trim();
    const pair = '[outside]\naddresses = ["10.0.5.1/24"]\n[inside]\naddresses = ["10.0.5.2/24"]\n';
    /** A script that leaves a process behind; the script ends when setsid(1) has become sleep(1). */
    const daemon =
      "#!/bin/sh\nsetsid sleep 1000 >/dev/null 2>&1 &\nuntil pgrep -x sleep >/dev/null; do :; done\n";
    /** Returns the names of the links that the process left behind by the script can see. */
    const processLinks = () =>
      sandbox.output("sh", "-c", "nsenter -t $(pgrep -x sleep) -n ip -br link | cut -d' ' -f1");

    it.each([
      ["the host's end is renamed", "ip link set web name wan9"],
      ["the host's end has an alternative name", "ip link property add dev web altname wan9"],
      ["the other end is renamed", "ip -n web link set net0 down name odd0"],
      [
        "both ends are renamed",
        "ip link set web name wan9; ip -n web link set net0 down name odd0",
      ],
      ["the host's end is moved away", "ip netns add far; ip link set web netns far"],
      ["the namespace's name is gone", "ip netns delete web"],
      [
        "the host's end is renamed, and the namespace's name is gone",
        "ip link set web name wan9; ip netns delete web",
      ],
      [
        "the host's end is renamed, and another link has its name",
        "ip link set web name wan9; ip link add web type bridge",
      ],
    ])("%s: down removes the pair despite a running process, and up works again", (_, command) => {
      sandbox.writeDescription("web", pair);
      sandbox.writeScript("web", daemon);
      succeed("up", "web");
      sandbox.output("sh", "-c", command);
      succeed("down", "web");
      expect(processLinks()).toBe("lo\n");
      expect(links()).not.toMatch(/wan9|web@/);
      sandbox.output("sh", "-c", "ip link delete web 2>/dev/null; kill $(pgrep -x sleep)");
      succeed("up", "web");
      expect(sandbox.output("ip", "route")).toBe(
        "10.0.5.0/24 dev web proto kernel scope link src 10.0.5.1 \n",
      );
      succeed("down", "web");
      expect(links()).toBe("lo");
    });

    it("a failed up ends a process whose first thread has ended, and list counts such a process", async () => {
      using leaderless = await buildTestProgram("leaderless");
      const script = (status: number) => `#!/bin/sh
setsid node ${leaderless.program} >/dev/null 2>&1 &
until grep -q "State:.Z" /proc/$!/status; do sleep 0.05; done
echo $!
exit ${status}
`;
      const gone = (pid: string) =>
        sandbox.output(
          "timeout",
          "5",
          "sh",
          "-c",
          `while [ -e /proc/${pid} ]; do sleep 0.05; done`,
        );
      sandbox.writeScript("web", script(1));
      gone(run("up", "web").stdout.trim());
      sandbox.writeScript("web", script(0));
      const pid = succeed("up", "web").trim();
      const listed = () => JSON.parse(succeed("list", "--json"));
      expect(listed()).toMatchObject([{ name: "web", processes: 1 }]);
      // The namespace is found through its process.
      sandbox.output("ip", "netns", "delete", "web");
      succeed("down", "web");
      expect(links()).toBe("lo");
      sandbox.output("kill", "-KILL", pid);
      gone(pid);
    });

    it("down removes a link from a namespace that has lost its name, even if the link has no end on the host", () => {
      sandbox.output("ip", "link", "add", "eth0", "type", "veth", "peer", "name", "far");
      sandbox.writeDescription("web", '[link]\ntype = "macvlan"\nparent = "eth0"\n');
      sandbox.writeScript("web", daemon);
      succeed("up", "web");
      sandbox.output("ip", "netns", "delete", "web");
      expect(processLinks()).toContain("net0");
      succeed("down", "web");
      expect(processLinks()).toBe("lo\n");
    });

    it("down takes no link out of somebody else's namespace that has the name now", () => {
      sandbox.writeScript("web", daemon);
      succeed("up", "web");
      sandbox.output("ip", "netns", "delete", "web");
      for (const line of ["netns add web", "-n web link add theirs type veth peer name other"])
        sandbox.output("ip", ...line.split(" "));
      sandbox.output("sh", "-c", "ip netns exec web setsid sleep 999 >/dev/null 2>&1 &");
      sandbox.output("sh", "-c", "until pgrep -xf 'sleep 999'; do :; done");
      succeed("down", "web");
      const inside = "nsenter -t $(pgrep -xf 'sleep 999') -n ip -br link";
      expect(sandbox.output("sh", "-c", inside)).toContain("theirs");
      const ours = "nsenter -t $(pgrep -xf 'sleep 1000') -n ip -br link | cut -d' ' -f1";
      expect(sandbox.output("sh", "-c", ours)).toBe("lo\n");
      expect(links()).toBe("lo");
    });

    it("down without a record removes the pair of a namespace, whatever the host's end is called", () => {
      for (const line of ["netns add web", "link add name odd type veth peer name net0 netns web"])
        sandbox.output("ip", ...line.split(" "));
      succeed("down", "web");
      expect(links()).toBe("lo");
    });

    it("down removes what version 0.1 has made", () => {
      sandbox.writeScript("web", "#!/bin/sh\n");
      succeed("up", "web");
      const path = "/run/cm4all-spawn-netns/web.json";
      const {
        state,
        pid,
        bootId,
        cookie,
        links: made,
      } = JSON.parse(sandbox.output("head", "-1", path));
      const old = { state, pid, bootId, cookie, linkIndex: made[0].outsideIndex };
      sandbox.write(path, `${JSON.stringify(old)}\n`);
      sandbox.output("ip", "link", "set", "web", "name", "wan9");
      expect(JSON.parse(succeed("list", "--json"))[0]).toMatchObject({
        state: "complete",
        problems: [],
      });
      expect(run("up", "web").status).toBe(73);
      succeed("down", "web");
      expect(links()).toBe("lo");
    });

    it.each([
      ["missing", "rm -f /etc/resolv.conf"],
      [
        "a link that leads nowhere",
        "rm -f /etc/resolv.conf; ln -s /run/nowhere/resolv.conf /etc/resolv.conf",
      ],
    ])("the host's resolv.conf is %s: commands inside see the namespace's", (_, command) => {
      sandbox.output("sh", "-c", command);
      sandbox.writeDescription("web", DNS);
      sandbox.writeScript("web", "#!/bin/sh\ncat /etc/resolv.conf\n");
      expect(succeed("up", "web")).toBe("nameserver 10.0.5.1\n");
      expect(succeed("exec", "web", "cat", "/etc/resolv.conf")).toBe("nameserver 10.0.5.1\n");
      expect(succeed("exec", "web", "cat", "/etc/passwd")).toContain("root:");
    });

    it.each([
      ["mkdir", "EROFS"],
      ["symlink", "EIO"],
      ["symlink", "ENOSPC"],
      ["openat", "ENOSPC"],
    ])("%s fails with %s: nothing is left", (call, errno) => {
      sandbox.writeDescription("web", DNS);
      const before = sandbox.state();
      for (let when = 1; when <= (call === "openat" ? 1 : 6); when++) {
        const where = call === "openat" ? ["-P", "/run/cm4all-spawn-netns/web.resolv.conf"] : [];
        const inject = `inject=${call},${call}at:error=${errno}:when=${when}`;
        const strace = [
          "strace",
          "-f",
          "-qq",
          "-o",
          "/dev/null",
          ...where,
          "-e",
          `trace=${call},${call}at`,
          "-e",
          inject,
        ];
        const { status } = sandbox.run(...strace, "node", program.program, "up", "web");
        if (status === 0) succeed("down", "web");
        expect(sandbox.state()).toBe(before);
      }
    });

    it("/run is full before everything is made: up undoes what it has made", () => {
      // In one page there is room for a short record, but neither for a second file nor for the
      // record of all links.
      sandbox.output("mount", "-t", "tmpfs", "-o", "size=4k", "none", "/run/cm4all-spawn-netns");
      const link = (i: number) => `[[link]]\n[link.outside]\nname = "w${i}"\n`;
      sandbox.writeDescription("web", Array.from({ length: 60 }, (_, i) => link(i)).join(""));
      const before = sandbox.state();
      const { status, stderr } = run("up", "web");
      expect(stderr).toMatch(
        /cannot write \/run\/cm4all-spawn-netns\/web.json: ENOSPC: .*; everything has been undone\n$/,
      );
      expect(status).toBe(74);
      expect(sandbox.state()).toBe(before);
      sandbox.writeDescription("web", link(0));
      succeed("up", "web");
      succeed("down", "web");
      expect(sandbox.state()).toBe(before);
    });

    it("a down that was killed before it removed a directory is finished by the next down", () => {
      sandbox.writeDescription("web", DNS);
      const before = sandbox.state();
      succeed("up", "web");
      const inject = ["-e", "trace=rmdir", "-e", "inject=rmdir:signal=KILL:when=1"];
      sandbox.run(
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        ...inject,
        "node",
        program.program,
        "down",
        "web",
      );
      expect(sandbox.state()).toContain("web");
      succeed("down", "web");
      expect(sandbox.state()).toBe(before);
    });

    it("exec ignores the signals that its caller, such as nohup(1), ignores, and no others", () => {
      sandbox.writeScript("web", "#!/bin/sh\n");
      succeed("up", "web");
      const command = "exec web grep SigIgn /proc/self/status";
      const masks = (script: string) =>
        sandbox.output(
          "sh",
          "-c",
          script.replaceAll("PROGRAM", `bash -p ${program.program} ${command}`),
        );
      expect(masks("PROGRAM")).toBe("SigIgn:\t0000000000000000\n");
      expect(masks("trap '' HUP INT; PROGRAM")).toBe("SigIgn:\t0000000000000003\n");
      expect(masks("nohup PROGRAM 2>/dev/null")).toBe("SigIgn:\t0000000000000001\n");
      expect(succeed("exec", "web", "env")).not.toContain("CM4ALL_SIGIGN");
    });

    it("the script gets a large environment, and exec accepts thousands of arguments", () => {
      sandbox.writeScript("web", "#!/bin/sh\necho ${#BIG}\n");
      const big = "x".repeat(100_000);
      const environment = ["env", ...["BIG", "B2", "B3", "B4"].map((key) => `${key}=${big}`)];
      const up = sandbox.run(...environment, "node", program.program, "up", "web");
      expect(up).toMatchObject({ status: 0, stdout: "100000\n" });
      const words = Array.from({ length: 13_000 }, (_, i) => `argument-number-${i}`);
      expect(succeed("exec", "web", "sh", "-c", "echo $#", ...words)).toBe("12999\n");
    });

    it("exec has a status for each reason why a command cannot be run", () => {
      sandbox.writeScript("web", "#!/bin/sh\n");
      succeed("up", "web");
      sandbox.write("/run/script", "#!/nonesuch\n", "755");
      expect(run("exec", "web", "/run/script")).toMatchObject({
        status: 126,
        stderr: "cm4all-spawn-netns: /run/script: its interpreter /nonesuch does not exist\n",
      });
      expect(run("exec", "web", "/run/nonesuch").status).toBe(127);
    });

    it("exec runs commands as an unprivileged user, also through sudo", () => {
      sandbox.writeScript("web", "#!/bin/sh\n");
      succeed("up", "web");
      const show = [
        "sh",
        "-c",
        'id -u; id -g; grep CapEff /proc/self/status; echo $HOME $USER "$SUDO_UID"; ls /sys/class/net',
      ];
      const nobody = "65534\n65534\nCapEff:\t0000000000000000\n/nonexistent nobody \nlo\nnet0\n";
      expect(succeed("exec", "--user", "nobody", "web", ...show)).toBe(nobody);
      const sudo = (...words: string[]) =>
        sandbox.run("env", "SUDO_UID=65534", "node", program.program, ...words);
      expect(sudo("exec", "--sudo-user", "web", ...show).stdout).toBe(nobody);
      // Options after the name belong to the command, so a sudo rule that ends with * allows none
      // of ours.
      expect(sudo("exec", "--sudo-user", "web", "--user", "root", "id").status).not.toBe(0);
      expect(run("exec", "--sudo-user", "web", "id").status).toBe(64);
      expect(run("exec", "--user", "nonesuch-user", "web", "id").status).toBe(64);
      expect(run("exec", "--user", "root", "--sudo-user", "web", "id").status).toBe(64);
    });

    it.each([
      ["net.core.rmem_max = 1", "net.core.rmem_max is a setting of the whole host"],
      ["net.ipv4.nonesuch = 1", "net.ipv4.nonesuch is not a setting of a network namespace"],
      ["net.ipv4.ip_forward = 'x'", "EINVAL"],
      ["net.ipv4.conf.eth0.rp_filter = 1", "is not a setting of a network namespace"],
    ])("check reports that [sysctl] %s is refused", (line, message) => {
      sandbox.writeDescription("web", `[sysctl]\n${line}\n`);
      const before = sandbox.state();
      for (const command of ["check", "up"]) expect(run(command, "web").stderr).toContain(message);
      expect(sandbox.state()).toBe(before);
    });
  },
);
