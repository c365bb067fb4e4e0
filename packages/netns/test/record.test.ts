/** The record of a namespace when its writer is killed, or when /run is full. */
import { setTimeout as sleep } from "node:timers/promises";
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { parseRecord } from "../src/record-text.ts";
import { buildTestProgram, copyProgram } from "./program.ts";
import { Sandbox } from "./sandbox.ts";

const RECORD = "/run/cm4all-spawn-netns/web.json";

describe.skipIf(missing("root", "iproute2", "strace") !== undefined)("the record", () => {
  let program: BundleCopy;
  let writer: BundleCopy;
  let sandbox: Sandbox;
  beforeAll(async () => {
    program = copyProgram();
    writer = await buildTestProgram("writer");
  });
  afterAll(() => {
    program[Symbol.dispose]();
    writer[Symbol.dispose]();
  });
  beforeEach(async () => {
    sandbox = await Sandbox.make();
  });
  afterEach(() => sandbox.dispose());

  const run = (...args: string[]) => sandbox.run("node", program.program, ...args);

  it("is whole after a kill at any moment, however large it is", async () => {
    for (let round = 0; round < 20; round++) {
      const started = sandbox.start("sh", "-c", `echo $$; exec node ${writer.program}`);
      const pid = (await started.printed(/^\d+\nready\n/)).split("\n", 1)[0] ?? "";
      await sleep(round);
      sandbox.output("kill", "-KILL", pid);
      await started.exited();
      const record = parseRecord(sandbox.output("cat", RECORD));
      expect(record?.links).toHaveLength(300);
      expect(record?.links.every(({ name }) => name.endsWith(`-${record.state}`))).toBe(true);
    }
  });

  it("is read as a whole, however large it is", () => {
    sandbox.writeScript("web", "#!/bin/sh\n");
    expect(run("up", "web")).toMatchObject({ status: 0 });
    const enlarge = `const { readFileSync, writeFileSync } = require("node:fs");
const record = JSON.parse(readFileSync("${RECORD}", "utf8"));
record.pool = Array(100_000).fill("10.213.0.4/30");
writeFileSync("${RECORD}", JSON.stringify(record) + "\\n");`;
    sandbox.output("node", "-e", enlarge);
    expect(run("up", "web").stderr).toContain('"down web" deletes it');
    expect(run("list").stdout).toContain("complete");
    expect(run("down", "web")).toMatchObject({ status: 0, stderr: "" });
    expect(run("list").stdout).not.toContain("web");
  });

  it("lets `down` remove the namespace even if /run is full", () => {
    sandbox.writeScript("web", "#!/bin/sh\n");
    expect(run("up", "web")).toMatchObject({ status: 0 });
    sandbox.output("mount", "-o", "remount,size=1m", "/run");
    expect(sandbox.run("sh", "-c", "cat /dev/zero >/run/fill").status).not.toBe(0);
    expect(run("down", "web")).toMatchObject({ status: 0, stderr: "" });
    expect(sandbox.output("ls", "/run/cm4all-spawn-netns", "/run/netns")).not.toContain("web");
  });

  it("is removed by `down`, with the new file that a kill before the rename left behind", () => {
    const inject = ["-P", `${RECORD}.new`, "-e", "trace=rename", "-e", "inject=rename:signal=KILL"];
    const strace = ["strace", "-f", "-qq", "-o", "/dev/null", ...inject];
    sandbox.writeScript("web", "#!/bin/sh\n");
    sandbox.run(...strace, "node", program.program, "up", "web");
    expect(sandbox.output("ls", `${RECORD}.new`)).not.toBe("");
    expect(run("list")).toMatchObject({ status: 0, stderr: "" });
    expect(run("down", "web")).toMatchObject({ status: 0 });
    expect(sandbox.output("ls", "/run/cm4all-spawn-netns")).toBe("");
  });
});
