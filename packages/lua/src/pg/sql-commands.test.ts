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
    // A comment ends with its line, even if the line ends with CR, as on some systems.
    ["SELECT 1 -- x\r;COMMIT; SELECT 2", ["SELECT", "COMMIT", "SELECT"]],
    // A string with escapes may continue on the next line, still with escapes.
    [
      String.raw`SELECT E'a' -- x
      '\'; COMMIT; SELECT '`,
      ["SELECT"],
    ],
    [String.raw`SELECT E'a' '\'; COMMIT; SELECT ''`, ["SELECT", "COMMIT", "SELECT"]],
    [String.raw`SELECT '\'; COMMIT; SELECT '\'`, ["SELECT", "COMMIT", "SELECT"]],
    [String.raw`SELECT U&'\0027;' UESCAPE '!', N'a;', B'1', X'A;'`, ["SELECT U"]],
    // A no-break space is not white space: like all non-ASCII characters, it may be part of a name.
    ["SELECT 1 a\u00a0$$; COMMIT; SELECT 1 a\u00a0$$", ["SELECT", "COMMIT", "SELECT"]],
    ["SELECT 1 a$$; COMMIT; SELECT 1 a$$", ["SELECT", "COMMIT", "SELECT"]],
    [
      "CREATE RULE r AS ON INSERT TO t DO (DELETE FROM a; NOTIFY b); END",
      ["CREATE RULE R AS ON INSERT TO T DO", "END"],
    ],
  ])("finds the commands in: %s", (sql, commands) => {
    expect(commandsOf(sql)).toEqual(commands);
  });

  it.each([
    ["CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", 1],
    [
      "create or replace procedure p(a int)\nbegin /* ; */ atomic INSERT INTO t VALUES (1); END;",
      1,
    ],
    ["CREATE FUNCTION f() BEGIN ATOMIC END", 1],
    ["CREATE FUNCTION f() BEGIN ATOMIC SELECT CASE WHEN a THEN 1 END; END; COMMIT; SELECT 1", 3],
    [
      "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1 AS end, 2 AS case, x.end; SELECT 1 END; END; END",
      2,
    ],
    ["CREATE FUNCTION f() BEGIN ATOMIC SELECT ';END'; SELECT $$;END$$; SELECT 1; END; END", 2],
    // Names that are spelled like these keywords.
    ["CREATE FUNCTION f(begin atomic) RETURNS int AS $$x$$; COMMIT; SELECT 1; END", 4],
    ["CREATE FUNCTION f() RETURNS begin BEGIN ATOMIC SELECT 1; END", 1],
    ["CREATE TABLE f(begin int); BEGIN ATOMIC; END", 3],
    [`CREATE FUNCTION "BEGIN" () RETURNS int AS 'x'; BEGIN; END`, 3],
    ["CREATE FUNCTION f() RETURNS int RETURN 1; END", 2],
  ])("takes a body between BEGIN ATOMIC and END as a part of its command: %s: %i", (sql, count) => {
    expect(commandsOf(sql)).toHaveLength(count);
  });

  it.each([
    [String.raw`SELECT '\'; COMMIT; SELECT '`, ["SELECT"]],
    [String.raw`SELECT '\''; COMMIT; SELECT '`, ["SELECT", "COMMIT", "SELECT"]],
    [
      String.raw`SELECT 'a'
      '\''; COMMIT; SELECT E'\''`,
      ["SELECT", "COMMIT", "SELECT"],
    ],
  ])("finds the commands if backslashes are escapes in all strings: %s", (sql, commands) => {
    expect(commandsOf(sql, true)).toEqual(commands);
  });

  it.each(["-", "'", "--\n", "''", "\\", "\\'", "E'", "E''\n--", "/*", "$a", "(", " "])(
    "reads a query string with many %j",
    (part) => {
      for (const start of ["SELECT 1, ", "SELECT E'", "SELECT '"])
        expect(commandsOf(start + part.repeat(100_000))[0]).toMatch(/^SELECT/);
    },
  );

  it.each(["'x'", "E'x'", '"x"', "E'''x'", "$$x$$", "/*x*/", "--x\n"])(
    "reads %s with ten million characters instead of x",
    (text) => {
      const sql = `SELECT 1, ${text.replace("x", "x;".repeat(5_000_000))}; COMMIT`;
      expect(commandsOf(sql)).toEqual(["SELECT", "COMMIT"]);
    },
  );
});
