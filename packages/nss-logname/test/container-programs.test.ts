/** Tests real programs under a uid without an entry, before and after `install`. */
import { chmodSync, chownSync, copyFileSync } from "node:fs";
import { missing } from "@cm4all/testing";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { builtCommand, compile, output } from "./build.ts";
import {
  alice,
  configuration,
  container,
  entry,
  env,
  gid,
  prepareContainer,
  python,
  titled,
  uid,
} from "./container.ts";

describe.skipIf(missing("root", "gcc", "git", "ssh", "python3"))("in a container", () => {
  prepareContainer();

  describe("programs that fail without a name succeed with it", () => {
    const commit = [
      "cd /tmp && git init -q --template= repository$$ && cd repository$$",
      "git commit -q --allow-empty -m x && git log --format='%an <%ae>'",
    ].join(" && ");

    it.each(
      titled<{ command: string[]; expected: string | RegExp; env?: Record<string, string> }>([
        { command: ["whoami"], expected: "alice\n" },
        { command: ["id", "-un"], expected: "alice\n" },
        { command: ["id", "-gn"], expected: "alice\n" },
        { command: ["getent", "passwd", String(uid)], expected: entry },
        { command: ["getent", "passwd", "alice"], expected: entry },
        { command: ["getent", "group", String(gid)], expected: `alice:x:${gid}:\n` },
        { command: python("print(pwd.getpwuid(os.getuid()).pw_name)"), expected: "alice\n" },
        { command: python("print(grp.getgrgid(os.getgid()).gr_name)"), expected: "alice\n" },
        { command: [process.execPath, "-p", "os.userInfo().username"], expected: "alice\n" },
        {
          command: ["bash", "-c", commit],
          env: { EMAIL: "alice@example.com" },
          expected: "alice <alice@example.com>\n",
        },
        { command: ["ssh", "-G", "host.invalid"], expected: /^user alice$/m },
      ]),
    )("%s", (_, { command, env: more, expected }) => {
      const who = { ...alice, env: { ...env, ...more } };
      expect(container.run(who, ...command).status).not.toBe(0);
      container.install();
      const { status, stdout } = container.run(who, ...command);
      expect(status).toBe(0);
      if (typeof expected === "string") expect(stdout).toBe(expected);
      else expect(stdout).toMatch(expected);
    });
  });

  it.each(["user@example.com", "12345", "a b", "-a", "x".repeat(255), "jürgen"])(
    "programs accept the name %s",
    (LOGNAME) => {
      const who = { ...alice, env: { ...env, LOGNAME } };
      container.install();
      expect(container.print(who, "whoami")).toBe(`${LOGNAME}\n`);
      expect(container.print(who, "id")).toMatch(`uid=${uid}(${LOGNAME}) gid=${gid}(${LOGNAME}) `);
      expect(container.print(who, "ssh", "-T", "-G", "host.invalid")).toMatch(`user ${LOGNAME}\n`);
      const script = "print(pwd.getpwuid(os.getuid()).pw_name)";
      expect(container.print(who, ...python(script))).toBe(`${LOGNAME}\n`);
      expect(container.print(who, process.execPath, "-p", "os.userInfo().username")).toBe(
        `${LOGNAME}\n`,
      );
    },
  );

  describe("programs that show names show the name from the module", () => {
    it.each(
      titled<{ command: string[]; before: string; after: RegExp }>([
        {
          command: ["id"],
          before: `uid=${uid} gid=${gid} `,
          after: /^uid=\d+\(alice\) gid=\d+\(alice\) /,
        },
        {
          command: ["bash", "-c", ">/tmp/f; ls -l /tmp/f"],
          before: ` ${uid} ${gid} `,
          after: / alice alice /,
        },
        {
          command: ["bash", "-c", 'PS1="\\u"; echo "${PS1@P}"'],
          before: "I have no name!",
          after: /^alice\n$/,
        },
        { command: ["bash", "-c", "echo ~alice"], before: "~alice", after: /^\/tmp\n$/ },
        {
          command: python("print(os.path.expanduser('~alice'))"),
          before: "~alice",
          after: /^\/tmp\n$/,
        },
      ]),
    )("%s", (_, { command, before, after }) => {
      expect(container.print(alice, ...command)).toContain(before);
      container.install();
      expect(container.print(alice, ...command)).toMatch(after);
    });
  });

  it("after remove, the user has no name again", () => {
    container.install();
    container.command("remove");
    expect(container.read("/etc/nsswitch.conf")).toBe(configuration);
    expect(container.run(alice, "whoami").status).toBe(1);
  });

  it("all threads of a program find the same entries", () => {
    container.install();
    const script = python(
      [
        "found = []",
        "def look():",
        "  for i in range(200):",
        "    assert pwd.getpwuid(os.getuid()).pw_name == 'alice'",
        "    assert pwd.getpwnam('alice').pw_uid == os.getuid()",
        "    assert grp.getgrgid(os.getgid()).gr_name == 'alice'",
        "    found.append(i)",
        "threads = [threading.Thread(target=look) for i in range(8)]",
        "for thread in threads: thread.start()",
        "for thread in threads: thread.join()",
        "print(len(found))",
      ].join("\n"),
    );
    expect(container.print(alice, ...script)).toBe("1600\n");
  });

  describe("a program of another user", () => {
    const path = "/usr/bin/secure_test";
    // Not root, which has an entry in /etc/passwd: only the module could give this uid an entry.
    const owner = 54400;
    const evil = { LOGNAME: "evil", HOME: "/evil", SHELL: "/evil" };

    beforeAll(() => {
      const file = container.root + path;
      compile(file, ["secure_test.c"]);
      container.addLibrariesOf(file);
      chownSync(file, owner, owner);
    });
    beforeEach(() => {
      container.install();
    });

    it("trusts its environment with mode 0755", () => {
      chmodSync(container.root + path, 0o755);
      expect(container.print({ uid: owner, gid: owner, env: evil }, path, "evil")).toBe(
        "secure=0 uid=evil name=/evil gid=evil listed=1\n",
      );
    });

    it.each(["4755", "2755", "6755"])("does not trust its environment with mode %s", (mode) => {
      chmodSync(container.root + path, Number.parseInt(mode, 8));
      expect(container.print({ uid, gid, env: evil }, path, "evil")).toBe(
        "secure=1 uid=nobody name=nobody gid=nobody listed=0\n",
      );
    });
  });

  it("a program with file capabilities does not trust its environment", () => {
    const path = "/usr/bin/capable_test";
    const file = container.root + path;
    compile(file, ["secure_test.c"]);
    container.addLibrariesOf(file);
    container.install();
    // struct vfs_cap_data of capabilities(7), revision 2, effective: CAP_NET_RAW.
    const script = `import os, struct, sys
os.setxattr(sys.argv[1], "security.capability", struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0))`;
    output("/usr/bin/python3", ["-I", "-c", script, file]);
    expect(container.print(alice, path, "alice")).toBe(
      "secure=1 uid=nobody name=nobody gid=nobody listed=0\n",
    );
  });

  describe("cm4all-logname status", () => {
    const program = "/usr/bin/cm4all-logname";
    const status = (variables: Record<string, string>) =>
      container.run({ uid, gid, env: variables }, process.execPath, program, "status");
    beforeEach(() => {
      copyFileSync(builtCommand, container.root + program);
    });

    it("shows the answers of the module and those that programs get", () => {
      container.install();
      const { stdout, stderr, status: exitStatus } = status(env);
      expect(stderr).toBe("");
      const [, answers = ""] = stdout.split("The module answers:\n");
      expect(answers).toBe(
        `  uid ${uid}: ${entry}  gid ${gid}: alice:x:${gid}:\n` +
          `Programs get:\n  uid ${uid}: ${entry}  gid ${gid}: alice:x:${gid}:\n`,
      );
      expect(exitStatus).toBe(0);
    });

    it.each([
      [{}, "LOGNAME is not set"],
      [{ ...env, LOGNAME: "a:b" }, "LOGNAME holds a colon or a newline"],
      [{ ...env, HOME: "a:b" }, "HOME holds a colon or a newline"],
    ])("explains why there is no answer with %j", (variables: Record<string, string>, reason) => {
      container.install();
      const { stdout, status: exitStatus } = status(variables);
      expect(stdout).toContain(`uid ${uid}: nothing: ${reason}\n`);
      expect(stdout).toContain(`gid ${gid}: nothing: ${reason}\n`);
      expect(stdout).toContain(`uid ${uid}: nothing: no service knows it\n`);
      expect(exitStatus).toBe(0);
    });

    it("shows that the configuration is not in place", () => {
      container.install();
      container.reset();
      const { stdout, status: exitStatus } = status(env);
      expect(stdout).toContain("/etc/nsswitch.conf: passwd: cm4all_logname is missing\n");
      expect(stdout).toContain(`The module answers:\n  uid ${uid}: ${entry}`);
      expect(stdout).toContain(`uid ${uid}: nothing: the configuration is not in place\n`);
      expect(exitStatus).toBe(69);
    });

    it("shows which names come from a real account", () => {
      container.install();
      const { stdout } = container.run(
        { uid: 1000, gid: 1000, env },
        process.execPath,
        program,
        "status",
      );
      expect(stdout).toContain("uid 1000: alice:x:1000:1000:alice:/tmp:/bin/bash\n");
      expect(stdout).toContain(
        "uid 1000: bob:x:1000:1000:Bob:/home/bob:/bin/sh (from another service)\n",
      );
    });
  });
});
