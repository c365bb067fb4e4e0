/** The scripts of examples/accounting that need no database. */
import { AF_UNIX, bindUnix, MessageBuffer, MSG_DONTWAIT, SOCK_DGRAM, socket } from "@cm4all/linux";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ExampleRoot } from "./examples.ts";

describe("first.lua", () => {
  it("prints the peak memory usage of each cgroup", async () => {
    const root = new ExampleRoot();
    expect(await root.run("first.lua", [{ memoryPeakBytes: 5 * 1024 ** 3 }, {}])).toBe(
      "5368709120\nnil\n",
    );
  });
});

describe("log.lua", () => {
  it("prints a line for any name, with the known figures", async () => {
    const root = new ExampleRoot();
    const printed = await root.run("log.lua", [
      { path: "/a.scope/b", cpuTotalUsec: 1_840_000, pidsPeak: 5, ioReadBytes: 0 },
      { path: '/a\n"b\\\t\x9b\xff' },
    ]);
    expect(printed).toBe(
      'path="/a.scope/b" cpu_total=1.84 pids_peak=5 io_read_bytes=0\n' +
        'path="/a\\x0a\\x22b\\x5c\\x09\\x9b\\xff"\n',
    );
  });
});

describe("alert.lua", () => {
  const CONTROL = `@examples-control-${process.pid}`;
  const trouble = { memoryEventsOomKill: 2, pidsEventsMax: 0 };

  beforeAll(() => {
    process.env["CONTROL"] = CONTROL;
  });
  afterAll(() => {
    delete process.env["CONTROL"];
  });

  it("asks the web server to replace a customer's processes, but only if there was trouble", async () => {
    const root = new ExampleRoot();
    using server = socket(AF_UNIX, SOCK_DGRAM);
    bindUnix(server.number, CONTROL);
    const path = root.make("/alert", "foo");
    const printed = await root.run("alert.lua", [
      { path, memoryEventsOomKill: 0 },
      { path },
      { path: "/nobodys", ...trouble },
      { path, ...trouble },
    ]);
    expect(printed).toBe("foo: 2 processes killed for lack of memory, 0 not started\n");
    const receive = () => new MessageBuffer(4096, 0).receive(server.number, MSG_DONTWAIT)?.data;
    // The magic number, FADE_CHILDREN with three bytes, padding.
    expect(receive()?.toString("hex")).toBe("63046101" + "00030008" + "666f6f00");
    expect(receive()).toBeUndefined();
  });

  it("sends the bytes of any name, and prints it in one line", async () => {
    const root = new ExampleRoot();
    using server = socket(AF_UNIX, SOCK_DGRAM);
    bindUnix(server.number, CONTROL);
    const path = root.make("/alert", "\n\x1b\xff");
    expect(await root.run("alert.lua", [{ path, ...trouble }])).toBe(
      "\\x0a\\x1b\\xff: 2 processes killed for lack of memory, 0 not started\n",
    );
    const sent = new MessageBuffer(4096, 0).receive(server.number, MSG_DONTWAIT)?.data;
    expect(sent?.toString("hex")).toContain("0a1bff");
  });

  it("goes on if the web server is not running", async () => {
    const root = new ExampleRoot();
    const path = root.make("/alert", "foo");
    expect(await root.run("alert.lua", [{ path, ...trouble }])).toContain(
      `${CONTROL}: Failed to connect: Connection refused\n`,
    );
  });
});
