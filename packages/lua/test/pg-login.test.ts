/** Who is let in, and how it is encrypted. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { missing, Postgres } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openPg } from "../src/pg/library.ts";
import { printedBy } from "./script.ts";

// A certificate for localhost, and one that did not sign it; both valid for a hundred years.
const fixtures = join(import.meta.dirname, "fixtures");
const rootCert = join(fixtures, "server.crt");
const otherCert = join(fixtures, "other.crt");

describe.skipIf(missing("postgres") !== undefined)("pg logs in", () => {
  let server: Postgres;
  let directory: string;
  beforeAll(async () => {
    directory = mkdtempSync(join(tmpdir(), "lua-login-"));
    server = await Postgres.start({
      tcp: true,
      tls: {
        cert: readFileSync(rootCert, "utf8"),
        key: readFileSync(join(fixtures, "server.key"), "utf8"),
      },
      hba: [
        "local all postgres trust",
        "local all all peer",
        "host all plain 127.0.0.1/32 password",
        "host all hashed 127.0.0.1/32 md5",
        "host all scram 127.0.0.1/32 scram-sha-256",
        "hostnossl all unencrypted 127.0.0.1/32 trust",
        "hostssl all encrypted 127.0.0.1/32 trust",
      ],
    });
    const said = await attempt(
      server.conninfo,
      `create role "${userInfo().username}" login; create role plain login password 'p'; create role scram login password 's c:r\\a''m';
       set password_encryption = 'md5'; create role hashed login password 'h'; create role unencrypted login; create role encrypted login; select 1`,
    );
    expect(said).toBe("1");
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(directory, { recursive: true, force: true });
  });

  /** The first value of the result, or the message, without where it was. */
  async function attempt(conninfo: string, sql: string): Promise<string> {
    const said = await printedBy(
      `local r, m = pg:new([==[${conninfo}]==]):execute([==[${sql}]==])
       print(r and r:fetch({}, 'n')[1] or m)`,
      { open: openPg },
    );
    return said.trimEnd().replace(/connection to server [^,]*(?:, port \d+)? failed: /g, "");
  }

  const tcp = (user: string, more = "") =>
    `host=127.0.0.1 port=${server.port} dbname=postgres user=${user} passfile=/nonexistent ${more}`;
  const encrypted = "select ssl from pg_stat_ssl where pid = pg_backend_pid()";

  it("as the user that the process runs as", async () => {
    const socket = `host=${server.directory} port=${server.port} dbname=postgres`;
    expect(await attempt(socket, "select current_user")).toBe(userInfo().username);
    expect(await attempt(`${socket} user=plain`, "select 1")).toBe(
      'FATAL: Peer authentication failed for user "plain"',
    );
  });

  it("with passwords of each kind", async () => {
    expect(await attempt(tcp("plain", "password=p"), "select current_user")).toBe("plain");
    expect(await attempt(tcp("hashed", "password=h"), "select current_user")).toBe("hashed");
    expect(await attempt(tcp("scram", "password='s c:r\\\\a\\'m'"), "select current_user")).toBe(
      "scram",
    );
    expect(await attempt(tcp("scram", "password=wrong sslmode=disable"), "select 1")).toBe(
      'FATAL: password authentication failed for user "scram"',
    );
    expect(await attempt(tcp("scram", "sslmode=disable"), "select 1")).toBe(
      "fe_sendauth: no password supplied",
    );
  });

  it("with the password file, unless others may read it", async () => {
    const file = join(directory, "pgpass");
    writeFileSync(file, "# passwords\nother:*:*:*:x\n127.0.0.1:*:postgres:scram:s c\\:r\\\\a'm\n");
    chmodSync(file, 0o600);
    const conninfo = `host=127.0.0.1 port=${server.port} dbname=postgres user=scram sslmode=disable passfile=${file}`;
    expect(await attempt(conninfo, "select current_user")).toBe("scram");
    chmodSync(file, 0o644);
    expect(await attempt(conninfo, "select 1")).toBe("fe_sendauth: no password supplied");
  });

  it.each([
    ["prefer", "t"],
    ["require", "t"],
    ["allow", "f"],
    ["disable", "f"],
  ])("with sslmode=%s", async (mode, ssl) => {
    expect(await attempt(tcp("plain", `password=p sslmode=${mode}`), encrypted)).toBe(ssl);
  });

  it("the other way where the server wants it", async () => {
    expect(await attempt(tcp("unencrypted"), encrypted)).toBe("f");
    expect(await attempt(tcp("encrypted", "sslmode=allow"), encrypted)).toBe("t");
    expect(await attempt(tcp("unencrypted", "sslmode=require"), encrypted)).toMatch(
      /^FATAL: no pg_hba.conf entry/,
    );
  });

  it("to the server that it means", async () => {
    const host = `host=localhost hostaddr=127.0.0.1 port=${server.port} dbname=postgres user=encrypted`;
    const verify = (mode: string, cert: string, to = host) =>
      attempt(`${to} sslmode=${mode} sslrootcert='${cert}'`, encrypted);
    expect(await verify("verify-full", rootCert)).toBe("t");
    expect(await verify("verify-ca", rootCert, tcp("encrypted"))).toBe("t");
    expect(await verify("verify-full", rootCert, tcp("encrypted"))).toMatch(
      /IP: 127\.0\.0\.1 is not in the cert's list/,
    );
    for (const mode of ["require", "verify-ca", "verify-full"])
      expect(await verify(mode, otherCert)).toMatch(/self-signed certificate/);
    expect(await verify("require", "/nonexistent")).toBe(
      'could not read sslrootcert "/nonexistent": No such file or directory',
    );
  });
});
