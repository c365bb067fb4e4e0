/** Compares what connection options do here with what they do in psql, which uses libpq. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { missing } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { connect } from "../src/pg/connect.ts";
import { optionNames, variableOf } from "../src/pg/options.ts";
import { resolveTarget } from "../src/pg/target.ts";
import { PgRecorder, type Recorded } from "./pg-recorder.ts";

let hasEntry = true;
vi.mock("node:os", async (original) => {
  const os = await original<typeof import("node:os")>();
  const userInfo = () => {
    if (hasEntry) return os.userInfo();
    throw new Error("uv_os_get_passwd returned ENOENT");
  };
  return { ...os, userInfo };
});

/** Returns the path of psql itself: Debian's `psql` on the PATH is a wrapper script. */
function findPsql(): string {
  const versions = readdirSync("/usr/lib/postgresql").map(Number);
  return `/usr/lib/postgresql/${Math.max(...versions)}/bin/psql`;
}

/** The messages that a client has sent, and its error or other output. */
interface Outcome {
  readonly sent: readonly Recorded[];
  readonly message: string;
}

/** The values that we refuse and libpq accepts. */
const REFUSALS = [
  "client_encoding=LATIN1",
  "gssencmode=require",
  "krbsrvname=other",
  "gssdelegation=1",
  "replication=database",
  "replication=true",
  "sslcertmode=require",
];

const REFUSED = /^connection option "(\w+)" is not supported: /;

describe.skipIf(missing("psql", "gcc") !== undefined)("compared with libpq,", () => {
  let home: string;
  let recorder: PgRecorder;
  let keywords: Map<string, string>;
  beforeAll(async () => {
    home = mkdtempSync(join(tmpdir(), "pg-libpq-"));
    recorder = await PgRecorder.start(home);
    const program = join(home, "conndefaults");
    const source = join(import.meta.dirname, "fixtures/conndefaults.c");
    const built = spawnSync("gcc", ["-o", program, source, "-ldl"], { encoding: "utf8" });
    expect(built.stderr).toBe("");
    const { stdout } = spawnSync(program, { encoding: "utf8" });
    keywords = new Map(
      stdout
        .trimEnd()
        .split("\n")
        .map((line) => line.split("\t") as [string, string]),
    );
  });
  afterAll(async () => {
    await recorder?.[Symbol.asyncDispose]();
    rmSync(home, { recursive: true, force: true });
  });

  type Environment = Record<string, string>;

  async function theirs(conninfo: string, env: Environment): Promise<Outcome> {
    const psql = spawn(findPsql(), ["-X", "-w", "-c", "SELECT 1", "-d", conninfo], {
      env: { HOME: home, LC_ALL: "C", ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let said = "";
    psql.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    await once(psql, "close");
    return { sent: await recorded(), message: normal(said.replace(/^psql: error: /m, "")) };
  }

  async function ours(conninfo: string, env: Environment): Promise<Outcome> {
    let said = "";
    try {
      await connect({
        target: resolveTarget(conninfo, { HOME: home, ...env }),
        setup: () => {},
        warn: (text) => {
          said += text;
        },
      });
    } catch (error) {
      said += error instanceof Error ? error.message : String(error);
    }
    return { sent: await recorded(), message: normal(said) };
  }

  /** Returns what was recorded, without a repeated attempt and without what psql itself adds. */
  async function recorded(): Promise<Recorded[]> {
    const all = await recorder.take();
    const first = JSON.stringify(all[0]);
    const isTwice = all.length === 2 && JSON.stringify(all[1]) === first;
    return all.slice(isTwice ? 1 : 0).map(({ startup, password }) => {
      const { client_encoding: _, ...rest } = startup;
      if (rest["application_name"] === "psql") delete rest["application_name"];
      if (rest["replication"] === "off") delete rest["replication"];
      return { startup: rest, password };
    });
  }

  /**
   * Returns a message on one line, without the differences that we expect: we check numbers before
   * we connect; and with sslmode=allow, if the server refuses a login without TLS and does not
   * support TLS, we report only the refusal.
   */
  function normal(text: string): string {
    return (
      text
        .replace(/\s+/g, " ")
        .trim()
        .replace(/^connection to server .* failed: (?=invalid integer)/, "")
        .replace(/^(.+) \1$/, "$1")
        // The libpq of Debian 13 puts quotation marks around the name.
        .replace(/^invalid "(\w+)" value/, "invalid $1 value")
        // After such a refusal, libpq 17 also reports that the server does not support TLS.
        .replace(
          /(FATAL: .*) connection to server .*: server does not support SSL, but SSL was required$/,
          "$1",
        )
    );
  }

  /** Returns both outcomes, and the name of the option if we refuse it. */
  async function both(conninfo: string, env: Environment = {}) {
    const their = await theirs(conninfo, env);
    const our = await ours(conninfo, env);
    return { their, our, refused: REFUSED.exec(our.message)?.[1] };
  }

  const server = () => `hostaddr=127.0.0.1 port=${recorder.port} user=u dbname=d password=p`;

  it("all options and environment variables are known", () => {
    expect(keywords.size).toBeGreaterThan(30);
    const known = [...keywords.keys()].filter((name) => optionNames.includes(name));
    expect([...keywords.keys()].filter((name) => !known.includes(name))).toEqual([]);
    const variables = known.map((name) => [name, variableOf(name) ?? ""]);
    expect(variables).toEqual(known.map((name) => [name, keywords.get(name)]));
  });

  // Values that libpq accepts, and some that it does not.
  const VALUES: Record<string, string[]> = {
    service: ["nosuch"],
    user: ["bob", ""],
    password: ["pw", ""],
    passfile: ["/nonexistent"],
    dbname: ["db", "a=b"],
    host: ["localhost", "127.0.0.1,127.0.0.1"],
    hostaddr: ["127.0.0.1", "127.0.0.1,127.0.0.1"],
    port: ["x", "70000", "1,2", "0"],
    connect_timeout: ["5", "0", "-1", "x"],
    client_encoding: ["UTF8", "utf-8", "unicode", "LATIN1"],
    options: ["-c geqo=off", "-csearch_path=a\\ b"],
    application_name: ["a name", ""],
    // psql sets its own.
    fallback_application_name: [],
    keepalives: ["0", "1", "x"],
    keepalives_idle: ["5", "x"],
    keepalives_interval: ["5", " 7 "],
    keepalives_count: ["5", "1.5"],
    tcp_user_timeout: ["1000", "0", "x"],
    sslmode: ["disable", "allow", "prefer", "require", "maybe", ""],
    sslnegotiation: ["postgres", "direct", "x"],
    sslcompression: ["0", "1"],
    sslcert: ["/nonexistent"],
    sslkey: ["/nonexistent"],
    sslcertmode: ["allow", "disable", "require", "x"],
    sslpassword: ["secret"],
    sslrootcert: ["/nonexistent"],
    sslcrl: ["/nonexistent"],
    sslcrldir: ["/nonexistent"],
    sslsni: ["0", "1"],
    requirepeer: ["nobody"],
    require_auth: [
      "password",
      "md5",
      "!password",
      "none",
      "!none",
      "x",
      "password,!md5",
      "md5,md5",
    ],
    ssl_min_protocol_version: ["TLSv1.3", "tlsv1.2", "TLSv9"],
    ssl_max_protocol_version: ["TLSv1.3", "TLSv1.1", "x"],
    gssencmode: ["disable", "prefer", "require", "x"],
    krbsrvname: ["postgres", "other"],
    gsslib: ["gssapi"],
    gssdelegation: ["0", "1"],
    replication: ["off", "database", "true"],
    target_session_attrs: ["any", "read-write", "standby", "x"],
    load_balance_hosts: ["disable", "random", "x"],
    channel_binding: ["disable", "prefer", "require", "x"],
  };

  /**
   * Checks that both send the same messages and report the same error, or that we refuse the
   * option by its name, which is then returned.
   */
  async function compare(name: string, conninfo: string, env: Environment = {}) {
    const { their, our, refused } = await both(conninfo, env);
    if (refused === undefined) {
      expect(our, `${conninfo} ${JSON.stringify(env)}`).toEqual(their);
      return undefined;
    }
    expect(refused).toBe(name);
    return name;
  }

  it("each option is implemented or refused by its name", async () => {
    const refused: string[] = [];
    for (const name of keywords.keys()) {
      // Options that are new in a libpq after Debian 13's are not in VALUES, and are not compared.
      for (const value of VALUES[name] ?? []) {
        const conninfo = `${server()} ${name}='${value}'`;
        if ((await compare(name, conninfo)) !== undefined) refused.push(`${name}=${value}`);
      }
    }
    for (const each of ["client_encoding=LATIN1", "gssencmode=require", "krbsrvname=other"])
      expect(refused).toContain(each);
    // We refuse nothing else that the libpq of Debian 12 or 13 accepts.
    expect(refused.filter((each) => !REFUSALS.includes(each))).toEqual([]);
  }, 120_000);

  it("each environment variable is implemented or refused by the name of its option", async () => {
    for (const [name, variable] of keywords) {
      if (variable === "") continue;
      const without = server()
        .split(" ")
        .filter((pair) => !pair.startsWith(`${name}=`))
        .join(" ");
      for (const value of VALUES[name] ?? []) await compare(name, without, { [variable]: value });
    }
    for (const [variable, value] of [
      ["PGDATESTYLE", "German"],
      ["PGTZ", "Europe/Berlin"],
      ["PGGEQO", "off"],
      ["PGTZ", "default"],
      ["PGREQUIRESSL", "1"],
      ["PGREQUIRESSL", "0"],
      ["PGSYSCONFDIR", "/nonexistent"],
    ] as const)
      await compare("", server(), { [variable]: value });
  }, 120_000);

  it("connection strings are read in the same way", async () => {
    const at = `127.0.0.1:${recorder.port}`;
    for (const conninfo of [
      `postgresql://u:p#w@${at}/d`,
      `postgresql://u:p?w@${at}/d`,
      `postgresql://u:p,w:x@${at}/d`,
      `postgresql://u:p[w]@${at}/d`,
      `postgresql://u:p%40%2f%3aw@${at}/d`,
      `postgresql://u:p;&=+%20w@${at}/d`,
      `postgresql://u:ä€𝄞@${at}/d`,
      `postgresql://u:@${at}/d`,
      `postgres://:w@${at}/d`,
      `postgres://u@${at}`,
      `postgresql://u@${at}?dbname=x&password=p%3Dw`,
      `postgresql://u@${at}/a/b`,
      `postgresql://u@${at}/d?application_name=a%20b`,
      `postgresql://u@[::1]:1,${at}/d?password=p`,
      `postgresql:///d?host=127.0.0.1&port=${recorder.port}&user=u&password=p`,
      `postgresql:///?host=${encodeURIComponent(home)}&port=${recorder.port}&user=u&password=p`,
      `postgresql://u@${encodeURIComponent(home)}:${recorder.port}/d?password=p`,
      `postgresql://u@${at}/d?ssl=true`,
      `host=127.0.0.1\tport =\n${recorder.port} user= u password='a\\'b \\\\c' dbname=d`,
      `host=127.0.0.1 port=${recorder.port} user=u password=a\\ b\\'c dbname=d`,
      `host=127.0.0.1 port=${recorder.port} user=u password=p#w?@/ dbname=d`,
      `host=127.0.0.1 port=${recorder.port} user=u user=v password=p dbname=d`,
      `host=${home} port=${recorder.port} user=u password=p dbname=d options='-c geqo=off'`,
      `host=127.0.0.1,127.0.0.1 port=1,${recorder.port} user=u password=p dbname=d`,
      // After a server that refuses the login, no other is tried.
      `host=127.0.0.1,127.0.0.1 port=${recorder.port},1 user=u password=p dbname=d`,
      "user=u garbage",
      "user bob=1",
      "nosuch=1",
      "password='open",
      "host=a,b port=1,2,3",
      "hostaddr=1.2.3.4 host=a,b",
    ])
      await compare("", conninfo);
  });

  it("the password file is read in the same way", async () => {
    const file = join(home, ".pgpass");
    const lines = [
      "#comment",
      "",
      "short:line",
      "localhost:*:*:local:of localhost",
      `${home.replaceAll(":", "\\:")}:*:*:dir:of the directory`,
      "127.0.0.1:*:*:colon:a:b",
      "127.0.0.1:*:*:escaped:a\\:b\\\\c\\d",
      "127.0.0.1:*:*:c\\:lon:with colon",
      "127.0.0.1:*:other:u:of another database",
      "127.0.0.1:1:*:u:of another port",
      "127.0.0.1:*:d:u:first",
      "*:*:*:u:second",
      "127.0.0.1:*:*:blank: with blanks ",
      "127.0.0.1:*:*:cr:return\r",
      "127.0.0.1:*:*:*x:no pattern",
      "127.0.0.1:*:*:empty:",
      "127.0.0.1:*:*:last:without newline",
    ];
    writeFileSync(file, lines.join("\n"), { mode: 0o600 });
    const users = ["local", "dir", "colon", "escaped", "c:lon", "u", "blank", "cr", "yx", "empty"];
    for (const user of [...users, "last", "nobody"])
      for (const host of ["127.0.0.1", "localhost", home])
        await compare("", `host=${host} port=${recorder.port} dbname=d user='${user}'`);
    chmodSync(file, 0o640);
    await compare("", `host=127.0.0.1 port=${recorder.port} dbname=d user=u`);
    rmSync(file);
    mkdirSync(file);
    await compare("", `host=127.0.0.1 port=${recorder.port} dbname=d user=u`);
    rmSync(file, { recursive: true });
  });

  it("a wrong password is reported with the file from which it was read", async () => {
    const file = join(home, "wrong");
    writeFileSync(file, "*:*:*:*:wrong\n", { mode: 0o600 });
    await using refusing = await PgRecorder.start(home, "28P01");
    const conninfo = `host=127.0.0.1 port=${refusing.port} dbname=d user=u passfile=${file}`;
    const { our, their } = await both(conninfo);
    expect(our.message).toBe(their.message);
    expect(our.message).toContain(`password retrieved from file "${file}"`);
  });

  it("services are read in the same way", async () => {
    const file = join(home, ".pg_service.conf");
    const text = `# comment
[first]
host=127.0.0.1
  port=${recorder.port}  
user=u
user=twice
password= p=w 
dbname=d
options=-c geqo=off

[spaced] and more
host=127.0.0.1
port=${recorder.port}
[bad]
nosuch=1
[worse]
host = 127.0.0.1
[nested]
service=first
[ldap]
ldap://127.0.0.1/x
`;
    writeFileSync(file, text);
    for (const name of ["first", "spaced", "bad", "worse", "nested", "nosuch"]) {
      await compare("", `service=${name}`);
      await compare("", `service=${name} user=own dbname=x`, { PGUSER: "env", PGPASSWORD: "env" });
      await compare("", "dbname=y", { PGSERVICE: name });
    }
    await compare("", "service=first", { PGSERVICEFILE: "/nonexistent" });
    rmSync(file);
    writeFileSync(join(home, "pg_service.conf"), text);
    await compare("", "service=first", { PGSYSCONFDIR: home });
  });

  it("no message shows a password", async () => {
    const secrets = ["s3cr", "et"];
    const at = `127.0.0.1:${recorder.port}`;
    for (const special of [..."#?/:@[]%&= ,;+'\"\\\n", "%zz", "%00", "%ff", "@@", "://", "/?"]) {
      const password = secrets.join(special);
      for (const conninfo of [
        `postgresql://u:${password}@${at}/d`,
        `postgresql://u:${password}@/d`,
        `postgresql://u:12${special}${password}@${at}/d`,
        `postgresql://u:${password}@nosuch.invalid/d`,
        `postgresql://u:${password}@${at}/d?nosuch=1`,
        `postgresql://u:${password}@${at}/d?sslmode=maybe`,
        `postgresql://${at}/d?password=${password}`,
        `postgres:/u:${password}@${at}/d`,
        `postgresql:u:${password}@${at}/d`,
        `host=127.0.0.1 port=${recorder.port} user=u password=${password} nosuch=1`,
        `host=127.0.0.1 port=${recorder.port} password=${password}`,
        `host=127.0.0.1 port=${recorder.port} password='${password} user=u`,
        `host=127.0.0.1 port=${recorder.port} password='${password}' user`,
      ]) {
        const { message } = await ours(conninfo, {});
        expect(message, conninfo).not.toMatch(/s3cr|et\b(?<!socket|set)/);
      }
    }
  }, 60_000);

  it("if the uid has no entry in passwd, the options must name a user", () => {
    // Simulated, because the Node of Debian 13 does not allow this process to change its uid.
    hasEntry = false;
    try {
      expect(resolveTarget("host=h user=u dbname=d", {})).toMatchObject({
        user: "u",
        passfile: undefined,
      });
      expect(() => resolveTarget("host=h", {})).toThrow(
        `local user with ID ${process.geteuid?.()} does not exist`,
      );
    } finally {
      hasEntry = true;
    }
  });
});
