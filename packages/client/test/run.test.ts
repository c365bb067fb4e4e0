/** Tests `request` and `run` against the real daemon. */
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Daemon } from "./daemon.ts";
import { bundle, Running, runClient } from "./helpers.ts";

const MAPS = ["--uid-map", "0 100000 10", "--gid-map", "0 100000 10"];

describe.skipIf(missing("root", "catatonit") !== undefined)("against the daemon", () => {
  let daemon: Daemon;
  beforeAll(async () => {
    daemon = await Daemon.start();
  });
  afterAll(async () => {
    await daemon.stop();
  });

  const request = (...args: string[]) => runClient("--socket", daemon.socket, "request", ...args);
  const runArgs = (...args: string[]) => [bundle, "--socket", daemon.socket, "run", ...args];
  const run = (...args: string[]) => runClient(...runArgs(...args).slice(1));

  /** Runs a script in the namespaces of `foo` that `options` ask for, and returns its output. */
  async function shell(script: string, ...options: string[]): Promise<string> {
    const result = await run("foo", ...options, "--", "sh", "-c", script);
    expect(result).toMatchObject({ status: 0, stderr: "" });
    return result.stdout;
  }

  it("does not change the flags of the pipe that takes the command's output", () => {
    const args = runArgs("foo", "--ipc", "--", "grep", "flags", "/proc/self/fdinfo/1");
    const pipeline = ["-c", '"$@" | cat', "sh", process.execPath, ...args];
    const { stdout } = spawnSync("sh", pipeline, { encoding: "utf8" });
    // Write-only, in octal: without O_NONBLOCK.
    expect(stdout).toMatch(/^flags:\t0*1\n$/);
  });

  describe("request", () => {
    const inodes = async (...args: string[]): Promise<Record<string, unknown>> => {
      const { status, stdout, stderr } = await request(...args, "--json");
      expect([status, stderr]).toEqual([0, ""]);
      return JSON.parse(stdout);
    };

    it("prints types and inodes", async () => {
      const { status, stdout } = await request("foo", "--ipc", "--pid", "--user", "--lease");
      expect(status).toBe(0);
      expect(stdout).toMatch(/^ipc {3}\d+\npid {3}\d+\nuser {2}\d+\nlease \d+\n$/);
    });

    it("gives the same namespaces for the same name, and other namespaces for another name", async () => {
      const first = await inodes("foo", "--ipc", "--pid");
      expect(Object.keys(first)).toEqual(["name", "ipc", "pid"]);
      expect(await inodes("foo", "--ipc", "--pid")).toEqual(first);
      const other = await inodes("bar", "--ipc", "--pid");
      expect(other["ipc"]).not.toBe(first["ipc"]);
      expect(other["pid"]).not.toBe(first["pid"]);
    });

    it("gives a user namespace for each set of maps", async () => {
      const without = await inodes("foo", "--user");
      const mapped = await inodes("foo", "--user", ...MAPS);
      expect(mapped["user"]).not.toBe(without["user"]);
      expect(await inodes("foo", "--user", ...MAPS)).toEqual(mapped);
    });

    it("reports a map that the kernel refuses", async () => {
      // Each line is valid, but the two overlap.
      const map = ["--uid-map", "0 0 1", "--uid-map", "0 1 1"];
      const { status, stderr } = await request("foo", "--user", ...map);
      expect(status).toBe(77);
      expect(stderr).toMatch(/^cm4all-spawn-client: .*EINVAL.*\n$/);
    });
  });

  describe("run", () => {
    it("runs in the namespaces that `request` prints", async () => {
      const { stdout } = await request("foo", "--ipc", "--pid");
      const links = await shell("readlink /proc/self/ns/ipc /proc/self/ns/pid", "--ipc", "--pid");
      expect(links.match(/\d+/g)).toEqual(stdout.match(/\d+/g));
    });

    it("enters nothing that was not asked for", async () => {
      const own = (type: string) => `${readlinkSync(`/proc/self/ns/${type}`)}\n`;
      const links = await shell("readlink /proc/self/ns/pid /proc/self/ns/mnt", "--ipc");
      expect(links).toBe(own("pid") + own("mnt"));
      expect(await shell("readlink /proc/self/ns/ipc", "--pid")).toBe(own("ipc"));
    });

    it("has a private /proc, in which PID 1 is the init of the namespace", async () => {
      const lines = (await shell("ps -o pid= -o args= -A", "--pid")).split("\n");
      expect(lines[0]?.trim()).toMatch(/^1 /);
      expect(lines.length).toBeLessThan(10);
      // Our own /proc is as it was.
      expect(readdirSync("/proc")).toContain(String(process.pid));
    });

    it("shares IPC objects with other commands under the same name, and with nobody else", async () => {
      const id = (await shell("ipcmk -Q", "--ipc")).match(/\d+/)?.[0] ?? "none";
      expect(await shell("ipcs -q", "--ipc")).toMatch(new RegExp(` ${id} .*root`));
      const outside = spawnSync("ipcs", ["-q"], { encoding: "utf8" }).stdout;
      expect(outside).not.toMatch(new RegExp(` ${id} .*root`));
      const other = await run("other", "--ipc", "--", "ipcs", "-q");
      expect(other.stdout).not.toContain("root");
      await shell(`ipcrm -q ${id}`, "--ipc");
    });

    it("is root in a user namespace that maps root", async () => {
      const script = "id -u; id -g; tr -s ' ' < /proc/self/uid_map";
      expect(await shell(script, "--user", ...MAPS)).toBe("0\n0\n 0 100000 10\n");
    });

    it("has the overflow ids, or mapped ids, in a user namespace that does not map root", async () => {
      expect(await shell("id -u; id -g", "--user")).toBe("65534\n65534\n");
      expect(await shell("id -u", "--user", "--uid-map", "1000 0 1")).toBe("1000\n");
    });

    it("enters all three namespaces, with a private /proc", async () => {
      const { stdout } = await request("foo", "--ipc", "--pid", "--user", ...MAPS);
      const script =
        "readlink /proc/self/ns/ipc /proc/self/ns/pid /proc/self/ns/user; cat /proc/1/comm; id -u";
      const printed = await shell(script, "--ipc", "--pid", "--user", ...MAPS);
      expect(printed.match(/\[\d+\]/g)?.join()).toBe(
        (stdout.match(/\d+/g) ?? []).map((inode) => `[${inode}]`).join(),
      );
      expect(printed).toMatch(/\ncatatonit\n0\n$/);
    });

    it("inherits no descriptor but that of its user namespace", async () => {
      const script = "for fd in /proc/self/fd/*; do readlink $fd; done; true";
      const namespaces = /^(ipc|pid|user|mnt|pipe|socket|anon_inode):/gm;
      const before = (await shell(script, "--ipc")).match(namespaces)?.length;
      expect((await shell(script, "--ipc", "--pid")).match(namespaces)?.length).toBe(before);
      const withUser = (await shell(script, "--user")).match(namespaces) ?? [];
      expect(withUser.filter((link) => link === "user:")).toHaveLength(1);
      expect(withUser.length).toBe((before ?? 0) + 1);
    });

    it.each(NAMESPACE_KINDS)("is in the $kind namespace of its name", async ({ kind }) => {
      const link = `/proc/self/ns/${kind}`;
      const inode = async (name: string) => {
        const { status, stdout } = await request(name, `--${kind}`, "--json");
        expect(status).toBe(0);
        return Number(JSON.parse(stdout)[kind]);
      };
      const seen = async () => await shell(`readlink ${link}`, `--${kind}`);
      expect(await seen()).toBe(`${kind}:[${await inode("foo")}]\n`);
      expect(await seen()).not.toBe(`${readlinkSync(link)}\n`);
      expect(await inode("bar")).not.toBe(await inode("foo"));
    });

    it.each([
      ["exit 0", 0],
      ["exit 7", 7],
      ["kill -TERM $$", 143],
      ["kill -KILL $$", 137],
      // Real-time signals: for these, Node's own child_process reports the status 0.
      ["kill -34 $$", 162],
      ["kill -64 $$", 192],
    ])("after %s, the exit status is %d", async (script, expected) => {
      for (const options of [["--ipc"], ["--pid"], ["--user"]]) {
        const { status } = await run("foo", ...options, "--", "sh", "-c", script);
        expect(status, options[0]).toBe(expected);
      }
    });

    it("holds a lease while it runs, and no longer", async () => {
      const expireMs = 300;
      const daemon = await Daemon.start({ expireMs });
      try {
        const args = ["--socket", daemon.socket, "run", "foo", "--ipc", "--"];
        const queues = async () => (await runClient(...args, "ipcs", "-q")).stdout;
        const script = "ipcmk -Q; read x";
        const running = new Running(process.execPath, [bundle, ...args, "sh", "-c", script]);
        await running.prints("Message queue id");
        await sleep(4 * expireMs);
        // The namespace is still the one with the queue in it.
        expect(await queues()).toContain("root");
        running.type("\n");
        expect((await running.result).status).toBe(0);
        await sleep(4 * expireMs);
        expect(await queues()).not.toContain("root");
      } finally {
        await daemon.stop();
      }
    });

    it("passes on any bytes in the environment, the arguments and the command's path", async () => {
      const directory = mkdtempSync(join(tmpdir(), "bytes-"));
      try {
        chmodSync(directory, 0o755);
        const file = Buffer.concat([Buffer.from(`${directory}/M`), Buffer.of(0xfc)]);
        // The file has no #! line: shells and execvp(3) run such a file, too.
        writeFileSync(file, "cat /proc/$$/environ /proc/$$/cmdline | od -An -v -tx1\n", {
          mode: 0o755,
        });
        const script = `exec env "B=$(printf 'v\\374')" "$(printf 'N\\344')=ä" "$@" \\
          "${directory}/$(printf 'M\\374')" "$(printf '\\377 \\303')" '' ä`;
        for (const options of [["--ipc"], ["--pid"], ["--user", ...MAPS]]) {
          const command = [process.execPath, ...runArgs("foo", ...options, "--")];
          const { stdout, stderr } = await new Running("sh", ["-c", script, "sh", ...command])
            .result;
          expect(stderr).toBe("");
          const bytes = Buffer.from(stdout.replaceAll(/\s/g, ""), "hex").toString("latin1");
          expect(bytes).toContain("\0B=v\xfc\0");
          expect(bytes).toContain("\0N\xe4=\xc3\xa4\0");
          expect(bytes).toContain(`\0${directory}/M\xfc\0\xff \xc3\0\0\xc3\xa4\0`);
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    });

    it("finds a command on a PATH that is not UTF-8, and names one that is not found", async () => {
      const script = `cd "$(mktemp -d)" && mkdir "$(printf '\\377')" &&
        cp /bin/true "$(printf '\\377/M\\374')" &&
        PATH="$PATH:$PWD/$(printf '\\377')" "$@" "$(printf 'M\\374')" && "$@" "$(printf 'M\\375')"
        echo $?; rm -r "$PWD"`;
      const command = [process.execPath, ...runArgs("foo", "--ipc", "--")];
      expect(await new Running("sh", ["-c", script, "sh", ...command]).result).toEqual({
        status: 0,
        stdout: "127\n",
        stderr: "cm4all-spawn-client: M\ufffd: command not found\n",
      });
    });

    it("mounts no /proc if it is in the PID namespace already", async () => {
      const nested = runArgs("foo", "--pid", "--", "readlink", "/proc/self/ns/mnt");
      const command = [process.execPath, ...nested].map((word) => `'${word}'`).join(" ");
      const script = `readlink /proc/self/ns/mnt; ${command}`;
      const [outer, inner] = (await shell(script, "--pid")).split("\n");
      expect(inner).toBe(outer);
      expect(inner).toMatch(/^mnt:/);
    });

    it("reports that it needs util-linux", async () => {
      const bin = mkdtempSync(join(tmpdir(), "bin-"));
      symlinkSync("/bin/sh", join(bin, "sh"));
      const args = runArgs("foo", "--pid", "--", "sh", "-c", "true");
      const { status, stderr } = await new Running(process.execPath, args, { PATH: bin }).result;
      rmSync(bin, { recursive: true });
      expect(stderr).toBe("cm4all-spawn-client: unshare is not on the PATH: install util-linux\n");
      expect(status).toBe(69);
    });

    it("reports that it may not enter the namespaces", async () => {
      const words = ["--bounding-set", "-sys_admin", "--ambient-caps", "-all"];
      const running = new Running("setpriv", [
        ...words,
        "--",
        process.execPath,
        ...runArgs("foo", "--ipc", "--", "true"),
      ]);
      const { status, stderr } = await running.result;
      expect(stderr).toBe(
        "cm4all-spawn-client: cannot enter the ipc namespace: EPERM: this requires CAP_SYS_ADMIN\n",
      );
      expect(status).toBe(77);
    });

    it("reads standard input and writes standard output", async () => {
      const running = new Running(
        process.execPath,
        runArgs("foo", "--pid", "--", "tr", "a-z", "A-Z"),
      );
      running.type("hello\n");
      running.endInput();
      expect(await running.result).toEqual({ status: 0, stdout: "HELLO\n", stderr: "" });
    });
  });

  describe("signals", () => {
    const SIGNALS = ["INT", "TERM", "HUP", "QUIT", "USR1", "USR2", "WINCH", "CONT"] as const;

    it("are passed on, once each", async () => {
      const script = `for s in ${SIGNALS.join(" ")}; do trap "echo got-$s" $s; done
        trap '[ -n "$t" ] && exit 3; t=1; echo got-TERM' TERM
        echo ready; while :; do sleep 0.05; done`;
      const options = ["--ipc", "--pid", "--"];
      const running = new Running(process.execPath, runArgs("foo", ...options, "sh", "-c", script));
      await running.prints("ready");
      for (const signal of SIGNALS) {
        running.kill(`SIG${signal}`);
        await running.prints(`got-${signal}`);
      }
      running.kill("SIGTERM");
      const { status, stdout } = await running.result;
      expect(status).toBe(3);
      expect(stdout).toBe(`ready\n${SIGNALS.map((signal) => `got-${signal}\n`).join("")}`);
    });

    it("have their default action in the command, although the client catches them", async () => {
      const result = await run("foo", "--ipc", "--pid", "--", "sh", "-c", "kill -USR1 $$");
      expect(result).toMatchObject({ status: 128 + 10, stderr: "" });
    });

    it("end a command that does not catch them", async () => {
      const running = new Running(
        process.execPath,
        runArgs("foo", "--pid", "--", "sh", "-c", "echo up; exec sleep 60"),
      );
      await running.prints("up");
      running.kill("SIGTERM");
      expect((await running.result).status).toBe(143);
    });
  });

  describe("signals that the caller ignores", () => {
    /** Runs `script` in a shell; PROGRAM in it runs the bundle, through its #! line. */
    const outside = (script: string, ...words: string[]) =>
      new Running("sh", ["-c", script.replaceAll("PROGRAM", '"$@"'), "sh", ...runArgs(...words)]);
    const options = ["--ipc", "--pid", "--user", ...MAPS];

    it("are ignored by the command too, and no other signals are", async () => {
      for (const kinds of [["--ipc"], ["--pid"], options]) {
        const command = ["foo", ...kinds, "--", "grep", "SigIgn", "/proc/self/status"];
        const masks = async (script: string) => (await outside(script, ...command).result).stdout;
        expect(await masks("PROGRAM")).toBe("SigIgn:\t0000000000000000\n");
        expect(await masks("trap '' HUP QUIT USR1; exec PROGRAM")).toBe(
          "SigIgn:\t0000000000000205\n",
        );
        const realTime = `bash -c 'trap "" 34 64; exec "$@"' bash PROGRAM`;
        expect(await masks(realTime)).toBe("SigIgn:\t8000000200000000\n");
        expect(await masks("nohup PROGRAM 2>/dev/null")).toBe("SigIgn:\t0000000000000001\n");
      }
    });

    it("do not end the command, although they would otherwise", async () => {
      const command = ["foo", "--pid", "--", "sh", "-c", "kill -HUP $$; echo alive"];
      const kept = await outside("trap '' HUP; exec PROGRAM", ...command).result;
      expect(kept).toEqual({ status: 0, stdout: "alive\n", stderr: "" });
      expect(await outside("exec PROGRAM", ...command).result).toMatchObject({
        status: 128 + 1,
        stdout: "",
      });
    });

    it("neither end the program nor reach a command that catches them after all", async () => {
      // The command is not a shell: a shell cannot catch a signal that was ignored when the shell
      // was started.
      const script = `process.on("SIGHUP", () => console.log("got-HUP"));
        process.on("SIGTERM", () => process.exit(3));
        setInterval(() => {}, 1000); console.log("ready");`;
      const command = ["foo", "--ipc", "--", process.execPath, "-e", script];
      const running = outside("trap '' HUP; exec PROGRAM", ...command);
      await running.prints("ready");
      running.kill("SIGHUP");
      running.kill("SIGTERM");
      expect(await running.result).toEqual({ status: 3, stdout: "ready\n", stderr: "" });
    });

    it("leave no variable in the environment, and do not change exit statuses", async () => {
      const script = "trap '' HUP; exec env a.b=1 'BASH_FUNC_f%%=() { :; }' PROGRAM";
      const { stdout } = await outside(script, "foo", "--ipc", "--", "env").result;
      expect(stdout).toContain("PATH=");
      // Variables whose names a shell would not accept are kept, too.
      expect(stdout).toContain("\na.b=1\n");
      expect(stdout).toContain("BASH_FUNC_f%%=");
      expect(stdout).not.toContain("CM4ALL_SIGIGN");
      for (const [file, expected] of [
        ["/nonesuch", 127],
        ["/etc/passwd", 126],
      ] as const) {
        const ended = outside("trap '' HUP; exec PROGRAM", "foo", ...options, "--", file);
        expect((await ended.result).status).toBe(expected);
      }
      const words = ["foo", ...options, "--", "sh", "-c", "kill -TERM $$"];
      expect((await outside("trap '' HUP; exec PROGRAM", ...words).result).status).toBe(143);
    });
  });

  describe("in a terminal", () => {
    const quote = (word: string) => `'${word.replaceAll("'", "'\\''")}'`;

    /** Runs a shell script in namespaces of `foo`, in a terminal that script(1) makes. */
    function inTerminal(shellScript: string): Running {
      // With exec, no shell remains that the terminal's signals could end.
      const words = [process.execPath, ...runArgs("foo", "--ipc", "--pid", "--")];
      const command = `exec ${[...words, "sh", "-c", shellScript].map(quote).join(" ")}`;
      return new Running("script", ["-qefc", command, "/dev/null"]);
    }

    it("Ctrl-C reaches the command once", async () => {
      const running = inTerminal('trap "echo got-INT" INT; echo ready; read x; read x; exit 5');
      await running.prints("ready");
      running.type("\x03");
      await running.prints("got-INT");
      running.type("\n\n");
      const { status, stdout } = await running.result;
      expect(status).toBe(5);
      expect(stdout.match(/got-INT/g)).toHaveLength(1);
    });

    it("Ctrl-C ends a command that does not catch it", async () => {
      const running = inTerminal("echo ready; exec sleep 60");
      await running.prints("ready");
      running.type("\x03");
      expect((await running.result).status).toBe(130);
    });
  });
});
