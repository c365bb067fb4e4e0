/** The commands of the program; failures.test.ts tests what happens if `up` fails. */
import { readFileSync } from "node:fs";
import { type BundleCopy, missing } from "@cm4all/testing";
import { snippetsOfManual, snippetsOfText } from "@cm4all/testing/snippets";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { type Result, Sandbox } from "./sandbox.ts";

const description = `
[outside]
addresses = ["10.0.5.1/24", "fd00:5::1/64"]
[inside]
addresses = ["10.0.5.2/24", "fd00:5::2/64"]
gateway = ["10.0.5.1", "fd00:5::1"]
mtu = 1400
mac = "02:00:00:00:05:02"
[[inside.routes]]
to = "10.9.0.0/16"
via = "10.0.5.9"
[sysctl]
net.ipv4.ip_forward = 1
net.ipv4.conf.net0.rp_filter = 2
[dns]
servers = ["10.0.5.1"]
search = ["example.com"]
`;

const example = (name: string) =>
  readFileSync(new URL(`../../../examples/netns/${name}`, import.meta.url), "utf8");

const scriptWithAddresses = `#!/bin/sh -e
ip address add 10.0.5.2/24 dev "$1"
ip -6 address add fd00:5::2/64 dev "$1" nodad
`;

describe.skipIf(missing("root", "iproute2", "ping") !== undefined)("cm4all-spawn-netns", () => {
  let program: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(() => {
    program = copyProgram();
  });
  afterAll(() => program[Symbol.dispose]());
  beforeEach(async () => {
    sandbox = await Sandbox.make();
  });
  afterEach(() => sandbox.dispose());

  const run = (...args: string[]): Result => sandbox.run("node", program.program, ...args);
  const succeed = (...args: string[]): string => {
    const { status, stdout, stderr } = run(...args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    return stdout;
  };

  /** Pings in both directions, over both families. */
  const expectPings = () => {
    const inside = ["ip", "netns", "exec", "web"];
    const send = ["ping", "-n", "-q", "-c", "1", "-W", "2"];
    for (const address of ["10.0.5.1", "fd00:5::1"]) sandbox.output(...inside, ...send, address);
    for (const address of ["10.0.5.2", "fd00:5::2"]) sandbox.output(...send, address);
  };

  it("reports in one line, without blocking, a FIFO in place of a description or a record", () => {
    sandbox.output("mkdir", "-p", "/etc/cm4all/spawn/netns", "/run/cm4all-spawn-netns");
    sandbox.output(
      "mkfifo",
      "/etc/cm4all/spawn/netns/web.toml",
      "/run/cm4all-spawn-netns/old.json",
    );
    for (const command of ["up", "check"])
      expect(run(command, "web").stderr).toMatch(
        /^cm4all-spawn-netns: cannot read .*web\.toml: it is not a regular file\n$/,
      );
    for (const args of [["down", "old"], ["list"]])
      expect(run(...args).stderr).toMatch(/^cm4all-spawn-netns: .*it is not a regular file\n$/);
  });

  it("connects a namespace that a script sets up", () => {
    sandbox.writeScript("web", scriptWithAddresses);
    succeed("up", "web");
    sandbox.output("ip", "address", "add", "10.0.5.1/24", "dev", "web");
    sandbox.output("ip", "-6", "address", "add", "fd00:5::1/64", "dev", "web", "nodad");
    expectPings();
    succeed("down", "web");
    expect(sandbox.output("ip", "netns", "list")).toBe("");
    expect(sandbox.output("ip", "-br", "link")).not.toContain("web");
  });

  it("reports a name that does not exist, with the name that was probably meant", () => {
    sandbox.writeScript("web", scriptWithAddresses);
    succeed("up", "web");
    expect(run("down", "wbe")).toMatchObject({
      status: 0,
      stderr: "there is no namespace wbe (did you mean web?)\n",
    });
    succeed("down", "web");
  });

  it("connects a namespace that a file describes", () => {
    sandbox.writeDescription("web", description);
    succeed("up", "web");
    expectPings();
    const inside = (...command: string[]) =>
      sandbox.output("ip", "netns", "exec", "web", ...command);
    expect(inside("ip", "route")).toContain("default via 10.0.5.1 dev net0 proto static");
    expect(inside("ip", "route")).toContain("10.9.0.0/16 via 10.0.5.9 dev net0 proto static");
    expect(inside("ip", "-6", "route")).toContain("default via fd00:5::1 dev net0 proto static");
    expect(inside("ip", "link", "show", "net0")).toMatch(/mtu 1400 .*02:00:00:00:05:02/s);
    const settings = ["net.ipv4.ip_forward", "net.ipv4.conf.net0.rp_filter"];
    expect(inside("sysctl", "-n", ...settings)).toBe("1\n2\n");
    expect(sandbox.output("sysctl", "-n", "net.ipv4.conf.web.rp_filter")).not.toBe("2\n");
    expect(inside("cat", "/etc/resolv.conf")).toBe("nameserver 10.0.5.1\nsearch example.com\n");
    succeed("down", "web");
    expect(sandbox.output("sh", "-c", "ls -A /etc/netns /run/cm4all-spawn-netns 2>&1; true")).toBe(
      "ls: cannot access '/etc/netns': No such file or directory\n/run/cm4all-spawn-netns:\n",
    );
  });

  it("runs the script last, as ip netns exec would", () => {
    sandbox.writeDescription("web", description);
    sandbox.write("/etc/netns/web/hosts", "10.0.5.1 gateway\n");
    sandbox.writeScript(
      "web",
      `#!/bin/sh
echo "arguments $*"; echo "directory $(pwd)"; echo "name $CM4ALL_NETNS"
echo "input $(readlink /proc/self/fd/0)"; echo "links" $(ls /sys/class/net)
echo "addresses" $(ip -o -4 address show net0 | wc -l)
cat /etc/hosts /etc/resolv.conf
readlink /proc/self/ns/net /proc/self/ns/mnt
`,
    );
    const lines = succeed("up", "web").split("\n");
    expect(lines.slice(0, 9)).toEqual([
      "arguments net0",
      "directory /",
      "name web",
      "input /dev/null",
      "links lo net0",
      "addresses 1",
      "10.0.5.1 gateway",
      "nameserver 10.0.5.1",
      "search example.com",
    ]);
    const [, mount] = sandbox
      .output("readlink", "/proc/self/ns/net", "/proc/self/ns/mnt")
      .split("\n");
    expect(lines[9]).toBe(
      sandbox.output("ip", "netns", "exec", "web", "readlink", "/proc/self/ns/net").trim(),
    );
    expect(lines[10]).toMatch(/^mnt:/);
    expect(lines[10]).not.toBe(mount);
    expect(sandbox.output("cat", "/etc/hosts")).not.toContain("gateway");
  });

  it("runs a script without #! with the shell, as execvp(3) does", () => {
    sandbox.writeScript("web", "echo $0 $1\n");
    expect(succeed("up", "web")).toBe("/etc/cm4all/spawn/netns/setup.d/web net0\n");
  });

  it("passes its environment on to the script, byte for byte", () => {
    sandbox.writeScript("web", "#!/bin/sh\nod -An -v -tx1 /proc/$$/environ\n");
    const script = `exec env "B=$(printf 'v\\374')" "$(printf 'N\\344')=ä" "$@" up web`;
    const printed = sandbox.output("sh", "-c", script, "sh", "node", program.program);
    const bytes = Buffer.from(printed.replaceAll(/\s/g, ""), "hex").toString("latin1");
    expect(bytes).toContain("\0B=v\xfc\0");
    expect(bytes).toContain("\0N\xe4=\xc3\xa4\0");
    expect(bytes).toContain("\0CM4ALL_NETNS=web\0");
  });

  it("does not kill a daemon that the script leaves behind", () => {
    sandbox.writeScript(
      "web",
      "#!/bin/sh\nsetsid sleep 1000 >/dev/null 2>&1 &\nuntil pgrep -x sleep >/dev/null; do :; done\n",
    );
    succeed("up", "web");
    expect(sandbox.output("ip", "netns", "pids", "web")).toMatch(/^\d+\n$/);
    expect(JSON.parse(succeed("list", "--json"))[0]).toMatchObject({ name: "web", processes: 1 });
    succeed("down", "web");
    expect(sandbox.output("ps", "-e", "-o", "args=")).toContain("sleep 1000");
    expect(sandbox.output("ip", "-br", "link")).not.toContain("web");
  });

  it("sets the host's end up unless an option says otherwise", () => {
    for (const name of ["web", "other"]) sandbox.writeScript(name, "#!/bin/sh\n");
    succeed("up", "web");
    succeed("up", "--no-host-up", "other");
    const flags = (link: string) => sandbox.output("ip", "link", "show", link);
    expect(flags("web")).toMatch(/<[^>]*\bUP\b/);
    expect(flags("other")).not.toMatch(/<[^>]*\bUP\b/);
  });

  it("works with the examples", () => {
    sandbox.writeScript("web", example("web"));
    succeed("up", "web");
    expect(sandbox.output("ip", "-n", "web", "-6", "route")).toContain("default via fd00:5::1");
    succeed("down", "web");
    // A user may copy both files, the script and the description.
    sandbox.writeDescription("web", example("web.toml"));
    succeed("up", "web");
    succeed("down", "web");
    sandbox.output("rm", "/etc/cm4all/spawn/netns/setup.d/web");
    // The description alone: as it is, and with all commented-out lines enabled.
    for (const text of [
      example("web.toml"),
      example("web.toml").replace(/^# (\[|\w+ =)/gm, "$1"),
    ]) {
      sandbox.writeDescription("web", text);
      succeed("up", "web");
      succeed("down", "web");
    }
  });

  it("accepts the examples of a template and its pool", () => {
    sandbox.write("/etc/cm4all/spawn/netns.toml", example("netns.toml"));
    sandbox.writeDescription("default", example("default.toml"));
    expect(succeed("check", "any")).toMatch(/10\.213\./);
  });

  it("works with what README shows", () => {
    const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");
    const shown = snippetsOfText(readme).filter(
      ({ language, text }) => language === "toml" && text.includes("[inside]"),
    );
    expect(shown.length).toBe(1);
    sandbox.writeDescription("web", `${shown[0]?.text}\n`);
    for (const line of [
      "link add uplink up type veth peer name far",
      "link set far up",
      "address add 192.0.2.1/24 dev uplink",
      "route add default via 192.0.2.254",
    ])
      sandbox.output("ip", ...line.split(" "));
    expect(succeed("check", "web")).not.toBe("");
    // Not succeed(): on standard error, `up` names the settings of the host that it has changed.
    expect(run("up", "web").status).toBe(0);
    expect(sandbox.output("ip", "-n", "web", "-4", "route")).toContain("default via 10.0.5.1");
    expect(run("down", "web").status).toBe(0);
  });

  it("applies the settings that the manual page shows", () => {
    const page = new URL("../../../docs/man/cm4all-spawn-netns.5", import.meta.url);
    const shown = snippetsOfManual(readFileSync(page, "utf8")).find(({ text }) =>
      text.startsWith("net.ipv4.ip_unprivileged_port_start"),
    );
    // Not every kernel has VLANs: the link itself stands for the VLAN on top of it.
    const settings = (shown?.text ?? "").replace("net0/7", "net0");
    sandbox.writeDescription("web", `[sysctl]\n${settings}\n`);
    succeed("up", "web");
    const names = [...settings.matchAll(/^"?(.*?)"? = /gm)].map(([, name = ""]) => name);
    const values = [...settings.matchAll(/ = (.*)$/gm)].map(([, value]) => `${value}\n`);
    expect(names.length).toBe(3);
    expect(sandbox.output("ip", "netns", "exec", "web", "sysctl", "-n", ...names)).toBe(
      values.join(""),
    );
    succeed("down", "web");
  });

  it("makes the directory of names a shared mount point, once", () => {
    const mounts = () =>
      sandbox.output("cat", "/proc/self/mountinfo").match(/^.* \/run\/netns .*$/gm) ?? [];
    // If ip netns has been used on this machine, its own /run/netns, which the sandbox hides, is a
    // mount point, too.
    const hidden = mounts();
    for (const name of ["a", "b"]) {
      sandbox.writeScript(name, "#!/bin/sh\n");
      succeed("up", name);
    }
    expect(mounts()).toEqual([...hidden, expect.stringContaining("shared:")]);
  });

  it("accepts names of 15 bytes", () => {
    const name = "x23456789.12345";
    sandbox.writeScript(name, "#!/bin/sh\n");
    succeed("up", name);
    expect(sandbox.output("ip", "netns", "list")).toContain(name);
    succeed("down", name);
  });

  describe("beside iproute2", () => {
    it("makes namespaces and links that ip lists, enters and deletes", () => {
      sandbox.writeScript("web", scriptWithAddresses);
      succeed("up", "web");
      expect(sandbox.output("ip", "netns", "list")).toMatch(/^web( \(id: \d+\))?\n$/);
      expect(sandbox.output("ip", "-n", "web", "-br", "address")).toContain("10.0.5.2/24");
      expect(sandbox.output("ip", "link", "show", "web")).toMatch(/web@if\d+: .* link-netns web/s);
      sandbox.output("ip", "link", "delete", "web");
      sandbox.output("ip", "netns", "delete", "web");
      succeed("up", "web");
    });

    it("makes a namespace again after ip netns delete, even while a process is still in it", () => {
      sandbox.writeScript(
        "web",
        "#!/bin/sh\nsetsid sleep 1000 >/dev/null 2>&1 &\nuntil pgrep -x sleep >/dev/null; do :; done\n",
      );
      succeed("up", "web");
      sandbox.output("ip", "netns", "delete", "web");
      expect(sandbox.output("ip", "-br", "link")).toContain("web");
      succeed("up", "web");
    });

    it("takes down what ip commands have made", () => {
      for (const line of [
        "netns add web",
        "link add name web type veth peer name web_peer",
        "link set web_peer netns web",
        "netns exec web ip link set web_peer name net0 up",
      ])
        sandbox.output("ip", ...line.split(" "));
      expect(JSON.parse(succeed("list", "--json"))).toMatchObject([
        { name: "web", state: "foreign", hostLink: { name: "web", state: "down" } },
      ]);
      succeed("down", "web");
      expect(sandbox.output("ip", "netns", "list")).toBe("");
      expect(sandbox.output("ip", "-br", "link")).not.toContain("web");
    });
  });

  describe("down", () => {
    beforeEach(() => sandbox.writeScript("web", "#!/bin/sh\n"));

    it("succeeds when there is nothing to remove", () => {
      succeed("down", "web");
    });

    it.each([
      ["link", "link delete web"],
      ["namespace", "netns delete web"],
    ])("succeeds when the %s is gone", (_, command) => {
      succeed("up", "web");
      sandbox.output("ip", ...command.split(" "));
      succeed("down", "web");
      expect(sandbox.output("ip", "-br", "link")).not.toContain("web");
      expect(sandbox.output("ip", "netns", "list")).toBe("");
    });

    it("leaves a link of another kind alone, and reports that", () => {
      sandbox.output("ip", "link", "add", "web", "type", "bridge");
      expect(run("down", "web")).toMatchObject({
        status: 0,
        stderr: "the network interface web is not a veth: it is left alone\n",
      });
      expect(sandbox.output("ip", "-br", "link")).toContain("web");
    });
  });

  describe("exec", () => {
    beforeEach(() => {
      sandbox.writeScript("web", scriptWithAddresses);
      succeed("up", "web");
    });

    it("passes on only the standard descriptors", () => {
      const command = `exec node ${program.program} exec web -- ls /proc/self/fd`;
      // Descriptor 3 belongs to ls itself. Node alone would make inherited descriptors
      // close-on-exec only up to the first unused number above 15.
      expect(sandbox.output("bash", "-c", `exec 40</etc/passwd 1000</etc/passwd; ${command}`)).toBe(
        "0\n1\n2\n3\n",
      );
    });

    it("runs a command inside, with the namespace's /sys and its files in /etc", () => {
      sandbox.write("/etc/netns/web/resolv.conf", "nameserver 10.0.5.1\n");
      const script = "ls /sys/class/net; cat /etc/resolv.conf; echo $0 $1";
      expect(succeed("exec", "web", "--", "sh", "-c", script, "a", "b c")).toBe(
        "lo\nnet0\nnameserver 10.0.5.1\na b c\n",
      );
      expect(succeed("exec", "web", "sh", "-c", "echo $1", "x", "--json")).toBe("--json\n");
    });

    it.each([
      ["exit 7", { status: 7 }],
      ["kill -TERM $$", { signal: "SIGTERM" }],
      ["kill -PIPE $$", { signal: "SIGPIPE" }],
      ["kill -USR1 $$", { signal: "SIGUSR1" }],
    ])("ends as the command does: %s", (script, expected) => {
      const { status, signal } = run("exec", "web", "--", "sh", "-c", script);
      // nsenter(1), with which the sandbox runs the program, kills itself with the signal that
      // killed its child.
      expect({ status, signal }).toMatchObject(expected);
    });

    // The process of `exec` becomes the command, so the caller's shell sees how the command ended.
    it.each(["9", "34", "64"])("is ended by signal %s if the command is", (signal) => {
      const script = '"$@"; echo $?';
      const kill = ["bash", "-c", `kill -${signal} $$`];
      const words = ["node", program.program, "exec", "web", "--", ...kill];
      expect(sandbox.output("bash", "-c", script, "bash", ...words)).toBe(
        `${128 + Number(signal)}\n`,
      );
    });

    it("passes on any bytes: environment, arguments, and the command's path", () => {
      const script = `
file="/run/$(printf 'M\\374')"
echo 'cat /proc/$$/environ /proc/$$/cmdline | od -An -v -tx1' >"$file" && chmod +x "$file"
exec env "B=$(printf 'v\\374')" "$(printf 'N\\344')=ä" "$@" exec web -- "$file" "$(printf '\\377 \\303')" '' ä`;
      const printed = sandbox.output("sh", "-c", script, "sh", "node", program.program);
      const bytes = Buffer.from(printed.replaceAll(/\s/g, ""), "hex").toString("latin1");
      expect(bytes).toContain("\0B=v\xfc\0");
      expect(bytes).toContain("\0N\xe4=\xc3\xa4\0");
      expect(bytes).toContain("\0/run/M\xfc\0\xff \xc3\0\0\xc3\xa4\0");
    });

    it("reports commands that cannot be run", () => {
      expect(run("exec", "web", "--", "nonesuch")).toMatchObject({
        status: 127,
        stderr: "cm4all-spawn-netns: nonesuch: no such command\n",
      });
      expect(run("exec", "web", "--", "/etc/passwd").status).toBe(126);
      expect(run("exec", "web", "--").status).toBe(64);
      expect(run("exec", "nonesuch", "--", "true")).toMatchObject({
        status: 69,
        stderr:
          "cm4all-spawn-netns: there is no network namespace nonesuch (/run/netns/nonesuch)\n",
      });
    });
  });

  it("lists namespaces for people and for programs", () => {
    expect(succeed("list")).toBe("NAME  STATE  PROCESSES  HOST LINK  INSIDE  ADDRESSES\n");
    sandbox.writeDescription("web", description);
    succeed("up", "web");
    sandbox.output("ip", "netns", "add", "other");
    expect(succeed("list")).toMatch(
      /^web +complete +0 +- +lo up +127.0.0.1\/8 ::1\/128\n +web \w+ +net0 \w+ +10.0.5.2/m,
    );
    const [other, web] = JSON.parse(succeed("list", "--json"));
    expect(other).toMatchObject({ name: "other", state: "foreign", processes: 0 });
    expect(web.links[1]).toMatchObject({
      name: "net0",
      mac: "02:00:00:00:05:02",
      mtu: 1400,
      addresses: expect.arrayContaining(["10.0.5.2/24", "fd00:5::2/64"]),
    });
  });

  it("checks without changing anything", () => {
    sandbox.writeDescription("web", description);
    sandbox.writeScript("web", "#!/bin/sh\n");
    const before = sandbox.state();
    const lines = succeed("check", "web").trim().split("\n");
    expect(lines[0]).toBe("make the network namespace /run/netns/web");
    expect(lines.at(-1)).toContain("inside, run /etc/cm4all/spawn/netns/setup.d/web net0, 90 s");
    expect(lines).toHaveLength(16);
    expect(sandbox.state()).toBe(before);
  });

  it("has help for each command, a version, and a status for wrong usage", () => {
    const help = succeed("--help");
    for (const command of ["up", "down", "list", "exec", "check"]) {
      expect(help).toMatch(new RegExp(`^  ${command} `, "m"));
      expect(succeed(command, "--help")).toMatch(/^Usage: cm4all-spawn-netns /);
    }
    expect(succeed("--version")).toMatch(/^\d+\.\d+\.\d+\n$/);
    for (const wrong of [
      [],
      ["bogus"],
      ["up"],
      ["up", "a", "b"],
      ["up", "web", "--script-timeout", "x"],
    ])
      expect(run(...wrong).status).toBe(64);
  });
});
