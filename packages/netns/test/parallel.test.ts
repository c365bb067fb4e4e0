/** Several runs of the program at the same time. */
import { type BundleCopy, missing } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { copyProgram } from "./program.ts";
import { Sandbox } from "./sandbox.ts";

describe.skipIf(missing("root", "iproute2") !== undefined)("at the same time", () => {
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

  const waiting = "#!/bin/sh\necho started\nuntil [ -e /run/go-on ]; do sleep 0.05; done\n";

  const start = (...args: string[]) => sandbox.start("node", program.program, ...args);

  it("one of two runs for the same name wins, and the other reports why it fails", async () => {
    sandbox.writeScript("web", waiting);
    const both = [start("up", "web"), start("up", "web")];
    const ended = both.map((started) => started.end());
    // The loser ends first, because the winner waits.
    const loser = await Promise.race(ended);
    sandbox.output("touch", "/run/go-on");
    const winner = (await Promise.all(ended)).find((result) => result !== loser);
    expect(winner).toMatchObject({ status: 0, stderr: "" });
    expect(loser).toMatchObject({
      status: 75,
      stderr: "cm4all-spawn-netns: another process is at work on web now\n",
    });
  });

  it("check names the process that is at work, and ends with 75", async () => {
    sandbox.writeScript("web", waiting);
    const started = sandbox.start("sh", "-c", `echo $$; exec node ${program.program} up web`);
    const [pid] = (await started.printed(/^\d+\nstarted/)).split("\n");
    const check = () => sandbox.run("node", program.program, "check", "web");
    expect(check()).toMatchObject({
      status: 75,
      stderr: `cm4all-spawn-netns: process ${pid} is at work on web now\n`,
    });
    sandbox.output("kill", "-KILL", String(pid));
    await started.exited();
    // The pid of the killed process now belongs to another process.
    sandbox.output("sed", "-i", `s/"pid":${pid},/"pid":1,/`, "/run/cm4all-spawn-netns/web.json");
    expect(check()).toMatchObject({
      status: 0,
      stdout: expect.stringContaining("remove what an unfinished up or down has left behind\n"),
    });
    sandbox.output("touch", "/run/go-on");
    expect((await start("down", "web").end()).status).toBe(0);
  });

  it("one of many runs for the same name wins, each time", async () => {
    sandbox.writeScript("web", "#!/bin/sh\n");
    for (let round = 0; round < 5; round++) {
      const all = Array.from({ length: 6 }, () => start("up", "web"));
      const statuses = await Promise.all(all.map(async (one) => (await one.end()).status));
      expect(statuses.filter((status) => status === 0)).toHaveLength(1);
      // A run that starts while the winner works ends with status 75, a later one with 73.
      expect(statuses.every((status) => [0, 73, 75].includes(Number(status)))).toBe(true);
      expect((await start("down", "web").end()).status).toBe(0);
    }
  });

  it("an up waits while another process holds the lock on /run/netns", async () => {
    sandbox.writeScript("web", "#!/bin/sh\n");
    sandbox.output("mkdir", "/run/netns");
    const wait = "echo locked; until [ -e /run/go-on ]; do sleep 0.05; done";
    const holder = sandbox.start("flock", "/run/netns", "sh", "-c", wait);
    await holder.printed(/locked/);
    const up = start("up", "web");
    const isWaiting = "until grep -q -e '-> FLOCK' /proc/locks; do sleep 0.05; done";
    sandbox.output("timeout", "15", "sh", "-c", isWaiting);
    expect(sandbox.output("ls", "/run/netns")).toBe("");
    sandbox.output("touch", "/run/go-on");
    expect(await up.end()).toMatchObject({ status: 0, stderr: "" });
  });

  it("a down during an up is refused, and so is a check", async () => {
    sandbox.writeScript("web", waiting);
    const up = start("up", "web");
    await up.printed(/started/);
    for (const command of ["down", "check"])
      expect((await start(command, "web").end()).status).toBe(75);
    sandbox.output("touch", "/run/go-on");
    expect((await up.end()).status).toBe(0);
  });

  it("`up` and `down` succeed for fifty different names", async () => {
    const names = Array.from({ length: 50 }, (_, i) => `web${i}`);
    for (const name of names)
      sandbox.writeDescription(name, '[inside]\naddresses = ["10.0.5.2/24"]\n');
    const all = async (command: string) =>
      Promise.all(names.map((name) => start(command, name).end()));
    for (const result of await all("up")) expect(result).toMatchObject({ status: 0, stderr: "" });
    const listed = JSON.parse(sandbox.output("node", program.program, "list", "--json"));
    expect(listed).toHaveLength(50);
    for (const namespace of listed)
      expect(namespace).toMatchObject({
        state: "complete",
        hostLink: { name: namespace.name },
        links: [{ name: "lo" }, { name: "net0" }],
      });
    for (const result of await all("down")) expect(result).toMatchObject({ status: 0, stderr: "" });
    expect(sandbox.output("ip", "netns", "list")).toBe("");
    expect(sandbox.output("ip", "-br", "link").trim().split("\n")).toHaveLength(1);
  });
});
