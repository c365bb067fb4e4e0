import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { parseConninfo } from "./conninfo.ts";
import { findPassword } from "./passfile.ts";
import { parseService } from "./service.ts";
import { resolveTarget } from "./target.ts";

const parse = (text: string) => Object.fromEntries(parseConninfo(text));

describe("parseConninfo", () => {
  it("reads pairs", () => {
    expect(parse("dbname=foo host=/run/postgresql")).toEqual({
      dbname: "foo",
      host: "/run/postgresql",
    });
    expect(parse(" user = bob\tport\n=\n5433 ")).toEqual({ user: "bob", port: "5433" });
    expect(parse("password='it\\'s a \\\\ secret' dbname=''")).toEqual({
      password: "it's a \\ secret",
      dbname: "",
    });
    expect(parse("user=a\\ b")).toEqual({ user: "a b" });
    expect(parse("")).toEqual({});
  });

  it.each([
    ["garbage", 'missing "=" after "garbage" in connection info string'],
    ["user bob=1", 'missing "=" after "user" in connection info string'],
    ["password='open", "unterminated quoted string in connection info string"],
    ["nosuch=1", 'invalid connection option "nosuch"'],
    ["postgresql://h/db?nosuch=1", 'invalid URI query parameter: "nosuch"'],
    ["postgresql://h/db?user", 'missing key/value separator "="'],
    ["postgresql://h/db?user=a=b", 'extra key/value separator "=" in URI query parameter: "user"'],
    ["postgresql://h%zz/db", "invalid percent-encoded token in the host of the URI"],
    ["postgresql://[::1/db", 'matching "]" in IPv6 host address'],
    ["postgresql://[]/db", "IPv6 host address may not be empty"],
    ["postgresql://[::1]x/db", 'unexpected character after "]"'],
    ["postgresql://%ff/db", "the host of the URI is not UTF-8"],
  ])("reports what is wrong with %s", (text, message) => {
    expect(() => parseConninfo(text)).toThrow(message);
  });

  it("reads URIs", () => {
    expect(parse("postgresql://")).toEqual({});
    expect(
      parse("postgres://bob:p%40ss@db.example:5433/my%20db?sslmode=require&application_name=x"),
    ).toEqual({
      user: "bob",
      password: "p@ss",
      host: "db.example",
      port: "5433",
      dbname: "my db",
      sslmode: "require",
      application_name: "x",
    });
    expect(parse("postgresql:///db?host=/run/postgresql")).toEqual({
      dbname: "db",
      host: "/run/postgresql",
    });
    expect(parse("postgresql://%2Frun%2Fpg/db")).toEqual({ host: "/run/pg", dbname: "db" });
    expect(parse("postgresql://a,b:1,[::1]:2/db?ssl=true")).toEqual({
      host: "a,b,::1",
      port: ",1,2",
      dbname: "db",
      sslmode: "require",
    });
  });
});

describe("resolveTarget", () => {
  const options = (conninfo: string, ...names: string[]) =>
    names.map((name) => resolveTarget(conninfo, { HOME: "/home/x" }).option(name));

  it("has libpq's defaults", () => {
    const { username } = userInfo();
    expect(resolveTarget("", { HOME: "/home/x" })).toMatchObject({
      hosts: [{ host: "/var/run/postgresql", hostaddr: undefined, port: 5432 }],
      user: username,
      database: username,
      passfile: "/home/x/.pgpass",
    });
    expect(options("", "password", "sslmode", "target_session_attrs")).toEqual([
      undefined,
      "prefer",
      "any",
    ]);
    expect(resolveTarget("user=bob", {}).database).toBe("bob");
  });

  it("prefers the string, then the service, then the environment", () => {
    const directory = mkdtempSync(join(tmpdir(), "pgservice-"));
    try {
      const file = join(directory, "services");
      writeFileSync(
        file,
        "# comment\n[other]\nhost=wrong\n[mine]\nhost=service\nuser=serviceuser\n\n[last]\nhost=x\n",
      );
      const env = {
        PGSERVICEFILE: file,
        PGHOST: "env",
        PGUSER: "envuser",
        PGDATABASE: "envdb",
        PGPORT: "1",
        PGPASSWORD: "pw",
      };
      expect(resolveTarget("service=mine user=own", env)).toMatchObject({
        hosts: [{ host: "service", port: 1 }],
        user: "own",
        database: "envdb",
      });
      expect(resolveTarget("service=mine", env).option("password")).toBe("pw");
      expect(resolveTarget("", { ...env, PGSERVICE: "mine" }).user).toBe("serviceuser");
      expect(() => resolveTarget("service=nosuch", env)).toThrow(
        'definition of service "nosuch" not found',
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
    expect(() => parseService("[a]\nrubbish\n", "a", "f")).toThrow(
      'syntax error in service file "f", line 2',
    );
  });

  it("accepts several hosts", () => {
    expect(resolveTarget("host=a,b,/c port=1,,3", {}).hosts).toEqual([
      { host: "a", hostaddr: undefined, port: 1 },
      { host: "b", hostaddr: undefined, port: 5432 },
      { host: "/c", hostaddr: undefined, port: 3 },
    ]);
    expect(resolveTarget("host=a,b port=7", {}).hosts.map(({ port }) => port)).toEqual([7, 7]);
    expect(resolveTarget("host=name hostaddr=127.0.0.1", {}).hosts).toEqual([
      { host: "name", hostaddr: "127.0.0.1", port: 5432 },
    ]);
    expect(resolveTarget("hostaddr=127.0.0.1", {}).hosts[0]?.host).toBe("127.0.0.1");
  });

  it.each([
    ["port=x", 'invalid integer value "x" for connection option "port"'],
    ["port=0", 'invalid port number: "0"'],
    ["port=70000", 'invalid port number: "70000"'],
    ["host=a,b port=1,2,3", "could not match 3 port numbers to 2 hosts"],
    ["host=a,b hostaddr=1.2.3.4", "could not match 2 host names to 1 hostaddr values"],
    ["sslmode=maybe", 'invalid sslmode value: "maybe"'],
    [
      "connect_timeout=soon",
      'invalid integer value "soon" for connection option "connect_timeout"',
    ],
  ])("refuses %s", (conninfo, message) => {
    expect(() => resolveTarget(conninfo, {})).toThrow(message);
  });

  it("rounds the timeout as libpq does", () => {
    expect(resolveTarget("connect_timeout=10", {}).connectTimeoutMs).toBe(10_000);
    expect(resolveTarget("connect_timeout=1", {}).connectTimeoutMs).toBe(2000);
    expect(resolveTarget("connect_timeout=0", {}).connectTimeoutMs).toBeUndefined();
  });

  it("limits the time of a login by default, and never to nothing", () => {
    expect(resolveTarget("", {}).connectTimeoutMs).toBe(30_000);
    expect(resolveTarget("", { PGCONNECT_TIMEOUT: "0" }).connectTimeoutMs).toBeUndefined();
    expect(resolveTarget("connect_timeout=2147483647", {}).connectTimeoutMs).toBe(2 ** 31 - 1);
  });
});

describe("findPassword", () => {
  const file = "# h:1:d:u:no\n\nh\\:x:*:d:u:with\\:colon\\:\n*:5432:*:bob:bobs\n*:*:*:*:last\n";
  it.each([
    ["h:x", "7", "d", "u", "with:colon:"],
    ["any", "5432", "any", "bob", "bobs"],
    ["any", "1", "any", "bob", "last"],
  ])("finds the password of %s:%s:%s:%s", (host, port, database, user, password) => {
    expect(findPassword(file, { host, port, database, user })).toBe(password);
  });
  it("returns nothing if no line matches", () => {
    expect(
      findPassword("h:1:d:u:p", { host: "x", port: "1", database: "d", user: "u" }),
    ).toBeUndefined();
  });
});
