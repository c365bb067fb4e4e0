/** Tests the command cm4all-spawn-client with a fake daemon, whose answers the tests choose. */
import { encodeError, encodeResponse, NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import { copyBundle } from "@cm4all/testing";
import { describe, expect, it } from "vitest";
import { FakeDaemon, type Reply } from "../src/fake-daemon.ts";
import { addon, bundle, Running, runClient, version } from "./helpers.ts";

const KINDS = NAMESPACE_KINDS.map(({ kind }) => `--${kind}`);

describe("the bundle", () => {
  it("runs from a directory with nothing but the addon beside it", async () => {
    using copy = copyBundle(bundle, [addon]);
    const running = new Running(process.execPath, [copy.program, "--version"]);
    expect(await running.result).toEqual({ status: 0, stdout: `${version}\n`, stderr: "" });
  });
});

describe("help", () => {
  it.each([[["--help"]], [["request", "--help"]], [["run", "--help"]]])("%j", async (args) => {
    const { status, stdout, stderr } = await runClient(...args);
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("--socket <address>");
  });

  it("is printed as an error for a command line without a command", async () => {
    const { status, stdout, stderr } = await runClient();
    expect([status, stdout]).toEqual([64, ""]);
    expect(stderr).toContain("Usage: cm4all-spawn-client");
  });
});

it("an argument that has to be text is refused if it is not UTF-8", async () => {
  const script = 'exec "$@" --socket "$(printf "/tmp/\\\\377")" request foo --ipc';
  const running = new Running("sh", ["-c", script, "sh", process.execPath, bundle]);
  const { status, stderr } = await running.result;
  expect(stderr).toBe(
    'cm4all-spawn-client: "/tmp/ÿ" (as Latin-1): this argument has to be UTF-8\n',
  );
  expect(status).toBe(64);
});

describe("a wrong command line gives EX_USAGE and a message, not a stack", () => {
  it.each([
    [["request"], "cm4all-spawn-client: missing required argument 'name'"],
    [["request", "foo"], `ask for ${KINDS.join(", ")} or --lease`],
    [["request", "foo", "--uid-map", "0 0 1"], "--uid-map and --gid-map need --user"],
    [["request", "foo", "--ipx"], "unknown option '--ipx' (did you mean --ipc?)"],
    [["request", "a\tb", "--ipc"], "It contains a byte that is not allowed: 0x09."],
    [["request", "", "--ipc"], "It is empty."],
    [["request", "foo", "--ipc", "--timeout", "x"], "Expected a number of seconds above 0"],
    [["request", "foo", "--ipc", "--socket", ""], "a socket address must have 1 to 107 bytes"],
    [["run", "foo", "--ipc"], "cm4all-spawn-client: missing required argument 'command'"],
    [["run", "foo", "--", "true"], `ask for ${KINDS.slice(0, -1).join(", ")} or ${KINDS.at(-1)}`],
    [["rum"], "unknown command 'rum' (did you mean run?)"],
  ])("%j", async (args, message) => {
    const { status, stdout, stderr } = await runClient(...args);
    expect([status, stdout]).toEqual([64, ""]);
    expect(stderr).toContain(message);
    expect(stderr).not.toContain("    at ");
  });
});

const ipcOnly = encodeResponse({ ipc: true, pid: false, user: false, lease: false });

describe("exit statuses", () => {
  async function ask(reply: Reply, ...args: string[]): Promise<[number | undefined, string]> {
    using daemon = new FakeDaemon(() => reply);
    const request = ["request", "foo", "--ipc", "--socket", daemon.address];
    const { status, stderr } = await runClient(...request, ...args);
    return [status, stderr];
  }

  it("EX_UNAVAILABLE if nobody listens", async () => {
    const result = await runClient("request", "foo", "--ipc", "--socket", "@nobody-is-here");
    expect(result.status).toBe(69);
    expect(result.stderr).toBe(
      "cm4all-spawn-client: @nobody-is-here: no spawn daemon listens there\n",
    );
  });

  it("EX_NOPERM if the daemon refuses", async () => {
    const line = "cm4all-spawn-client: uid 65534 is not allowed\n";
    expect(await ask({ bytes: encodeError("uid 65534 is not allowed") })).toEqual([77, line]);
  });

  it("EX_TEMPFAIL if the daemon does not answer in time", async () => {
    const line = "cm4all-spawn-client: the daemon does not answer\n";
    expect(await ask({}, "--timeout", "0.2")).toEqual([75, line]);
  });

  it("EX_TEMPFAIL if the daemon hangs up", async () => {
    const line = "cm4all-spawn-client: the daemon closed the connection without an answer\n";
    expect(await ask({ hangUp: true })).toEqual([75, line]);
  });

  it("EX_PROTOCOL if the daemon's answer makes no sense", async () => {
    const [status, line] = await ask({ bytes: Buffer.from("nonsense") });
    expect(status).toBe(76);
    expect(line).toMatch(/^cm4all-spawn-client: cannot understand the daemon's answer: .*\n$/);
  });

  it("0, and nothing on stderr, if the daemon grants the request", async () => {
    expect(await ask({ bytes: ipcOnly, fdCount: 1 })).toEqual([0, ""]);
  });

  it.each([
    ["no-such-command", 127, "no-such-command: command not found"],
    ["/etc/passwd", 126, "/etc/passwd: not executable"],
  ])("run %s ends with status %d without a request", async (command, expected, message) => {
    using daemon = new FakeDaemon(() => ({}));
    const options = ["--ipc", "--socket", daemon.address];
    const { status, stderr } = await runClient("run", "foo", ...options, "--", command);
    expect([status, stderr]).toEqual([expected, `cm4all-spawn-client: ${message}\n`]);
    expect(daemon.requests).toHaveLength(0);
  });
});
