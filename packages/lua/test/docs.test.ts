/** The examples of docs/lua.md run. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { missing, Postgres } from "@cm4all/testing";
import { LUA_TABLES } from "@cm4all/testing/snippets";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openLibraries } from "../src/libs/index.ts";
import { printedBy, TestScript } from "./script.ts";

const text = readFileSync(join(import.meta.dirname, "../../../docs/lua.md"), "utf8");
const examples = [...text.matchAll(/^```lua\n([\s\S]*?)^```$/gm)].map((match) => match[1] ?? "");

describe.skipIf(missing("postgres") !== undefined)("docs/lua.md", () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await Postgres.start();
    await printedBy(
      `local db = pg:new('${server.conninfo}')
       assert(db:execute('create database accounting'))
       for _, name in ipairs{'', ' dbname=accounting'} do assert(pg:new('${server.conninfo}' .. name):execute([[${LUA_TABLES}]])) end`,
      { open: openLibraries },
    );
    process.env["PGHOST"] = server.directory;
    process.env["PGUSER"] = server.user;
  });
  afterAll(async () => {
    delete process.env["PGHOST"];
    delete process.env["PGUSER"];
    await server?.stop();
  });

  it("has examples", () => expect(examples.length).toBeGreaterThan(8));

  it.each(examples.map((code) => [code.split("\n")[0], code]))("%s", async (_title, code) => {
    using script = new TestScript(code, { open: openLibraries });
    const { handlers } = script.runtime;
    if (handlers.released === "none") {
      for (const [line, expected] of code.matchAll(/^.*-- (.*)$/gm))
        expect(script.printed, line).toContain(expected);
      return;
    }
    const fields = { cpuTotalUsec: 1_500_000, memoryPeakBytes: 5 * 1024 ** 3 };
    expect(await script.outcome(fields)).toBeUndefined();
    expect(await script.outcome(fields)).toBeUndefined();
    if (handlers.running !== "none") expect(await script.handleRunning(fields)).not.toBe("");
    expect(script.warning).toBeUndefined();
  });
});
