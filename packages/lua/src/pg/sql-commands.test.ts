import { describe, expect, it } from "vitest";
import { commandsOf } from "./sql-commands.ts";

describe("commandsOf", () => {
  it.each([
    ["", []],
    ["-- BEGIN\n", []],
    [" select 1 ; ;begin;", ["SELECT", "BEGIN"]],
    ["start transaction read only", ["START TRANSACTION READ ONLY"]],
    ["/* a /* ; */ b */ COMMIT and chain", ["COMMIT AND CHAIN"]],
    ["(SELECT 1); END", ["", "END"]],
    [`INSERT INTO "a;b" VALUES ('x;''y', E'\\';', $$;$$, $a$ $$; $a$), 1`, ["INSERT INTO"]],
    ["SELECT $1;COMMIT", ["SELECT", "COMMIT"]],
    ["SELECT a$b$c;COMMIT", ["SELECT", "COMMIT"]],
    ["SELECT $$open; COMMIT", ["SELECT"]],
    ["/* open; COMMIT", []],
    ["DO 'x'; rollback to a", ["DO", "ROLLBACK TO A"]],
    ["SELECT 1 -- x\n;\nABORT--y", ["SELECT", "ABORT"]],
  ])("%s", (sql, commands) => {
    expect(commandsOf(sql)).toEqual(commands);
  });
});
