/** Replaces the script host with a process that breaks the protocol in many ways. */
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { inTime } from "@cm4all/testing";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { HostChild } from "../src/host-child.ts";
import { HostSession } from "../src/host-session.ts";
import type { Outcome, Run } from "../src/run.ts";
import { NO_HANDLERS } from "../src/run-kinds.ts";
import type { ScriptHost, ScriptHostOptions } from "../src/script-host.ts";
import { account, TestHosts } from "./host-support.ts";
import { encodedOf } from "./script.ts";

let hosts: TestHosts;
beforeAll(() => {
  hosts = new TestHosts();
});
afterEach(() => hosts.stopAll());
afterAll(() => hosts?.[Symbol.dispose]());

/** The beginning of each program. The process ends when the daemon closes the connection. */
const PRELUDE = `
const { writeSync, readSync } = require("node:fs");
const raw = (bytes) => {
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeSync(3, bytes, at);
    } catch (error) {
      if (error.code !== "EAGAIN") process.exit(0);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
};
const framed = (json) => {
  const bytes = Buffer.alloc(4 + Buffer.byteLength(json));
  bytes.writeUInt32LE(bytes.length - 4);
  bytes.write(json, 4);
  return bytes;
};
const send = (value) => raw(framed(JSON.stringify(value)));
const HELLO = { type: "hello", pid: process.pid };
const READY = { type: "ready", handlers: ${JSON.stringify({ ...NO_HANDLERS, released: "one" })} };
/** Answers each ping, ends the process when told to stop, and calls handle() with other requests. */
const listen = (handle) => {
  const socket = new (require("node:net").Socket)({ fd: 3 });
  let rest = Buffer.alloc(0);
  socket.on("close", () => process.exit(0));
  socket.on("error", () => process.exit(0));
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    while (rest.length >= 4 && rest.length >= 4 + rest.readUInt32LE()) {
      const end = 4 + rest.readUInt32LE();
      const request = JSON.parse(rest.subarray(4, end));
      rest = rest.subarray(end);
      if (request.type === "ping") send({ type: "pong", number: request.number });
      else if (request.type === "stop") process.exit(0);
      else handle(request);
    }
  });
};
/** Answers a start request as a script host does; calls onRun with the number of each run. */
const serve = (onRun) => listen((request) => {
  if (request.type === "start") send(READY);
  if (request.type === "run") onRun(request.number);
});
`;

function make(code: string, more: Partial<ScriptHostOptions> = {}): ScriptHost {
  return makeSilent(`send(HELLO);\n${code}`, more);
}

/** Makes a script host that sends no greeting unless the code does. */
function makeSilent(code: string, more: Partial<ScriptHostOptions> = {}): ScriptHost {
  const program = join(hosts.directory, "hostile.cjs");
  writeFileSync(program, PRELUDE + code);
  return hosts.make({ ...hosts.options(""), program: [program], ...more });
}

/** Resolves with the reason why the process has ended. @throws Error if it does not end in time */
async function ended(host: ScriptHost): Promise<string> {
  const [reason] = await inTime(
    once(host, "ended"),
    () => `the host has ended (state: ${host.state})`,
  );
  return String(reason);
}

describe("a script host that sends messages before it is asked", () => {
  const begin = (code: string) =>
    `listen((request) => { if (request.type === "start") { ${code} } });`;
  it.each([
    ["null", "send(null)", "a message that is not an object"],
    ["a notice without a text", 'send({ type: "notice" })', 'a message with a bad "text"'],
    ["a string", 'send("done")', "a message that is not an object"],
    ["a type of its own", 'send({ type: "x" })', 'a message with a bad "type"'],
    ["a message that is not JSON", 'raw(framed("rubbish"))', 'not a message: "rubbish"'],
    [
      "a message that is not UTF-8",
      "raw(Buffer.from([1, 0, 0, 0, 0xff]))",
      'not a message: "\ufffd"',
    ],
    ["an empty message", 'raw(framed(""))', 'not a message: ""'],
    ["deep JSON", 'raw(framed("[".repeat(500000)))', `not a message: "${"[".repeat(100)}"`],
    ["a huge length", "raw(Buffer.alloc(4, 0xff))", "a message of 4294967295 bytes is too long"],
    [
      "a text that is too long",
      'send({ type: "notice", text: "x".repeat(20000) })',
      'a message with a bad "text"',
    ],
    ["done without a run", 'send({ type: "done", number: 1 })', "a message about no run"],
    ["a question without a run", 'send({ type: "begin", number: 1 })', "a message about no run"],
    [
      "a run that is dropped",
      'send({ type: "dropped", number: 1, effect: "none" })',
      "a run dropped without a stop",
    ],
    ["a pong", 'send({ type: "pong", number: 1 })', "an answer to no ping"],
    ["a greeting twice", "send(HELLO)", "a greeting twice"],
    [
      "lost output twice",
      'for (const text of ["", ""]) send({ type: "outputLost", text })',
      "lost output twice",
    ],
    ["ready twice", "send(READY); send(READY)", '"ready" for a script that is already ready'],
    [
      "unusable after ready",
      'send(READY); send({ type: "unusable", message: "" })',
      '"unusable" for a script that is already ready',
    ],
  ])("is ended for %s", async (_, code, rule) => {
    const host = make(begin(code));
    const lines: string[] = [];
    host.on("ended", (reason) => lines.push(reason));
    host.on("scriptError", (source) => lines.push(source));
    host.start();
    expect(await ended(host)).toBe(`it broke the protocol: ${rule}`);
    expect(lines).toHaveLength(1);
    expect(host.state).toBe("pausing");
  });

  it("has as much time for the rest of an incomplete message as for an answer", async () => {
    const host = make(begin("raw(Buffer.from([255, 0, 0, 0, 123]))"), { answerTimeoutMs: 500 });
    host.start();
    expect(await ended(host)).toMatch(/^no sign of life/);
  });

  it("is not kept alive by sending single bytes", async () => {
    const code = `
      const bytes = framed(JSON.stringify({ type: "notice", text: "x".repeat(10000) }));
      let at = 0;
      setInterval(() => at < bytes.length && raw(bytes.subarray(at, ++at)), 20);`;
    const host = make(code, { answerTimeoutMs: 1000 });
    host.start();
    expect(await ended(host)).toMatch(/^no sign of life/);
  });
});

describe("a script host that sends no greeting", () => {
  it("is ended if it sends something else", async () => {
    const host = makeSilent("send(READY); setInterval(() => {}, 1000);");
    host.start();
    expect(await ended(host)).toBe('it broke the protocol: "ready" before a greeting');
  });

  it("is ended when its time is up", async () => {
    const host = makeSilent("setInterval(() => {}, 1000);", { answerTimeoutMs: 500 });
    host.start();
    expect(await ended(host)).toMatch(/^no sign of life/);
  });
});

describe("a script host that cannot be used", () => {
  it("has its later messages ignored", async () => {
    const program = join(hosts.directory, "hostile.cjs");
    const both = "raw(Buffer.concat([HELLO, READY].map((each) => framed(JSON.stringify(each)))));";
    writeFileSync(program, `${PRELUDE}${both} setInterval(() => {}, 1000);`);
    const options = { ...hosts.options(""), program: [program] };
    // As if the kernel showed that the process is in another unit.
    const child = Object.assign(new HostChild(options), { greet: () => "unfit" });
    const session = new HostSession(child, options);
    const told: string[] = [];
    session.on("unfit", (reason) => told.push(reason));
    session.on("ready", () => told.push("ready"));
    session.on("unusable", () => told.push("unusable"));
    const [reason] = await inTime(once(session, "ended"), "it has ended");
    expect([...told, reason]).toEqual(["unfit", "unfit"]);
  });
});

describe("a script host that has runs", () => {
  const start = async (code: string, more?: Partial<ScriptHostOptions>) => {
    const host = make(code, more);
    host.start();
    await inTime(once(host, "ready"), () => `the host is ready (state: ${host.state})`);
    return host;
  };

  it.each([
    [
      "done twice",
      "number => { send({ type: 'done', number }); send({ type: 'done', number }); }",
      "a message about no run",
    ],
    [
      "a question from a run that is over",
      "number => { send({ type: 'done', number }); send({ type: 'begin', number }); }",
      "a message about no run",
    ],
    [
      "two questions from a run",
      "number => { send({ type: 'begin', number }); send({ type: 'begin', number }); }",
      "a question from a run that need not ask",
    ],
    [
      "a bad outcome",
      "number => send({ type: 'failed', number, effect: 'all', cause: 'script', message: '' })",
      'a message with a bad "effect"',
    ],
    ["a guess", "number => send({ type: 'done', number: number + 1 })", "a message about no run"],
  ])("is ended for %s", async (_, onRun, rule) => {
    const host = await start(`serve(${onRun});`);
    let begun = 0;
    const outcome = account(host, {}, { begin: async () => void begun++ });
    expect(await ended(host)).toBe(`it broke the protocol: ${rule}`);
    const { type } = await inTime(outcome, "its run is settled");
    expect(["done", "interrupted"]).toContain(type);
    expect(begun).toBeLessThanOrEqual(1);
    expect(host.running).toBe(0);
  });

  it("cannot answer a run under the number of another one", async () => {
    const host = await start(
      "let asked = 0; serve((number) => asked++ || send({ type: 'done', number: number + 1 }));",
    );
    const outcomes = [account(host), account(host)];
    expect(await ended(host)).toBe("it broke the protocol: a message about no run");
    for (const outcome of outcomes) expect((await outcome).type).toBe("interrupted");
  });

  it("has its later messages ignored after a bad message", async () => {
    const host = await start(
      "serve((number) => raw(Buffer.concat([framed('null'), framed(JSON.stringify({ type: 'done', number }))])));",
    );
    expect(await inTime(account(host), "its run is settled")).toMatchObject({
      type: "interrupted",
      message: expect.stringContaining("it broke the protocol"),
    });
  });

  it("must not ask whether a run may begin, if its handlers may be called twice", async () => {
    const host = await start(
      `READY.handlers.bearsRepetition = true; serve((number) => send({ type: "begin", number }));`,
    );
    void account(host);
    expect(await ended(host)).toContain("a question from a run that need not ask");
  });

  it("cannot make the daemon keep data that the host does not read", async () => {
    // This script host reads nothing once it is ready, and answers runs that it has never seen.
    const host = await start(
      `send(READY); for (let number = 1; ; number++) send({ type: "done", number });`,
      { maxRunning: 4 },
    );
    // It answered before there was a run.
    const first = await ended(host);
    expect(first).toBe("it broke the protocol: a message about no run");

    const slow = await start(
      `send(READY);
       let number = 0;
       setInterval(() => send({ type: "done", number: ++number }), 200);`,
      { maxRunning: 4 },
    );
    const large = encodedOf({ path: "/a", xattrs: [{ "user.x": "x".repeat(4_000_000) }] });
    const run: Run = { kind: "released", begin: async () => {} };
    const outcomes: Outcome["type"][] = [];
    const end = ended(slow);
    let made = 0;
    while (slow.state === "ready") {
      if (slow.room > 0) {
        made++;
        void slow.run([large], run).then(({ type }) => outcomes.push(type));
      } else await delay(5);
      if (slow.room > 0) await delay(0);
    }
    expect(await end).toBe("it broke the protocol: a message about no run");
    await delay(0);
    expect(made).toBeLessThanOrEqual(5);
    expect(outcomes).toEqual(Array(made).fill("interrupted"));
  });
});

describe("a flood", () => {
  it.each([
    ["notices", '{ type: "notice", text: "flood" }', 100_000],
    [
      "long errors",
      '{ type: "error", source: "x", message: "y".repeat(16000) }',
      (64 * 1024 * 1024) / 16_001,
    ],
  ])("of %s ends the host, and holds up nothing meanwhile", async (_, message, most) => {
    const host = make(
      `send(READY);
       const many = Buffer.concat(Array(100).fill(framed(JSON.stringify(${message}))));
       for (;;) raw(many);`,
    );
    let told = 0;
    let leftOut = 0;
    host.on("notice", () => told++);
    host.on("scriptError", () => told++);
    host.on("leftOut", (count) => {
      leftOut += count;
    });
    let turns = 0;
    const ticking = setInterval(() => turns++, 1);
    host.start();
    expect(await ended(host)).toBe("it broke the protocol: a flood of errors and notices");
    clearInterval(ticking);
    expect(told).toBeGreaterThan(50);
    expect(told).toBeLessThanOrEqual(2000);
    expect(told + leftOut).toBeGreaterThan(4000);
    // The flood may have begun in one window of ten seconds, and ended in the next.
    expect(told + leftOut).toBeLessThanOrEqual(2 * most);
    expect(turns).toBeGreaterThan(10);
  });

  it("of questions and answers ends the host at the first of them", async () => {
    for (const type of ["pong", "begin", "done", "ready", "unusable"]) {
      const host = make(
        `const many = Buffer.concat(Array(1000).fill(framed('{"type":"${type}","number":1}')));
         for (;;) raw(many);`,
      );
      host.start();
      expect(await ended(host)).toMatch(/^it broke the protocol: /);
    }
  });

  it("of bytes that are not messages ends the host at the first four bytes", async () => {
    const host = make("for (;;) raw(Buffer.alloc(1 << 20, 0x01));");
    host.start();
    expect(await ended(host)).toBe(
      "it broke the protocol: a message of 16843009 bytes is too long",
    );
  });
});
