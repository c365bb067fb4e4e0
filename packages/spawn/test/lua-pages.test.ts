/** Runs each script of docs/lua.md with `cm4all-spawn lua` and a real PostgreSQL server. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing, Postgres, ScratchCgroup } from "@cm4all/testing";
import { LUA_TABLES, snippetsOfText } from "@cm4all/testing/snippets";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { BUNDLE } from "./support/daemon.ts";

const page = readFileSync(join(import.meta.dirname, "../../../docs/lua.md"), "utf8");
const scripts = snippetsOfText(page)
  .filter(({ language }) => language === "lua")
  .map(({ line, text }) => [line, text] as const);

describe.skipIf(missing("root", "cgroup2", "postgres", "psql") !== undefined)("docs/lua.md", () => {
  let directory: string;
  let scratch: ScratchCgroup;
  let server: Postgres;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "lua-pages-"));
    scratch = new ScratchCgroup();
    await scratch.runToEnd("a/job", ":");
    const root = `cgroup_root = "${scratch.path}"`;
    writeFileSync(
      join(directory, "spawn.toml"),
      `[reaper]\n${root}\n[accounting]\nuser = "root"\n`,
    );
    server = await Postgres.start();
    psql("postgres", "CREATE DATABASE accounting");
    for (const database of ["postgres", "accounting"]) psql(database, LUA_TABLES);
  });
  afterAll(async () => {
    await server?.stop();
    await scratch?.remove();
    rmSync(directory, { recursive: true });
  });

  const environment = () => ({ ...process.env, PGHOST: server.host, PGUSER: server.user });

  function psql(database: string, sql: string): void {
    const args = ["-v", "ON_ERROR_STOP=1", "-q", "-d", database];
    const { status, stderr } = spawnSync("psql", args, {
      input: sql,
      encoding: "utf8",
      env: environment(),
    });
    if (status !== 0) throw new Error(stderr);
  }

  it("has scripts", () => expect(scripts.length).toBeGreaterThan(8));

  it.each(scripts)("has a script at line %d, and the script runs", (_, text) => {
    const file = join(directory, "script.lua");
    writeFileSync(file, text);
    const args = ["--config", join(directory, "spawn.toml"), "lua", file, "--cgroup", "a/job"];
    const { status, stdout, stderr } = spawnSync(process.execPath, [BUNDLE, ...args], {
      encoding: "utf8",
      env: environment(),
    });
    // Some scripts only show additional features, and have no handler.
    const isHandler = /^function cgroups?_released/m.test(text);
    expect(stderr).toMatch(isHandler ? /^$/ : /function 'cgroup_released' not found/);
    expect(status).toBe(0);
    for (const [, shown = ""] of text.matchAll(/^print\(.*-- (.*)$/gm))
      expect(stdout).toContain(`${shown}\n`);
  });
});
