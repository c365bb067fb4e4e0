/** Logins, and their encryption. */
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { TLSSocket } from "node:tls";
import { getIntOption, getSocketOption } from "@cm4all/linux";
import { missing, Postgres } from "@cm4all/testing";
import type { Client } from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { rawClient } from "../src/pg/cancel.ts";
import { connect } from "../src/pg/connect.ts";
import { openPg } from "../src/pg/library.ts";
import { resolveTarget } from "../src/pg/target.ts";
import { printedBy } from "./script.ts";

// A self-signed certificate for localhost, and an unrelated one; both are valid for a century.
const fixtures = join(import.meta.dirname, "fixtures");
const rootCert = join(fixtures, "server.crt");
const otherCert = join(fixtures, "other.crt");
/** The revocation list that revokes the server's certificate. */
const revocations = join(fixtures, "server.crl");

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

  /** Returns the first value of the result, or the error message without the server's address. */
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

  it("with TLS or without, as the server demands and sslmode allows", async () => {
    expect(await attempt(tcp("unencrypted"), encrypted)).toBe("f");
    expect(await attempt(tcp("encrypted", "sslmode=allow"), encrypted)).toBe("t");
    expect(await attempt(tcp("unencrypted", "sslmode=require"), encrypted)).toMatch(
      /^FATAL: no pg_hba.conf entry/,
    );
  });

  it("only to the intended server", async () => {
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

  it("only to a server whose certificate is not revoked", async () => {
    const verify = (more: string) =>
      attempt(tcp("encrypted", `sslmode=verify-ca sslrootcert='${rootCert}' ${more}`), encrypted);
    expect(await verify(`sslcrl=/nonexistent sslcrl=''`)).toBe("t");
    expect(await verify(`sslcrl='${revocations}'`)).toBe("certificate revoked");
    const inDirectory = join(directory, "revocations");
    mkdirSync(inDirectory);
    copyFileSync(revocations, join(inDirectory, "0"));
    expect(await verify(`sslcrldir='${inDirectory}'`)).toBe("certificate revoked");
  });

  it("with a certificate and its key", async () => {
    const key = join(directory, "client.key");
    copyFileSync(join(fixtures, "server.key"), key);
    const own = `sslmode=require sslcert='${rootCert}' sslkey='${key}'`;
    chmodSync(key, 0o644);
    expect(await attempt(tcp("encrypted", own), encrypted)).toMatch(
      /^private key file ".*" has group or world access/,
    );
    expect(await attempt(tcp("encrypted", `${own} sslcertmode=disable`), encrypted)).toBe("t");
    chmodSync(key, 0o600);
    expect(await attempt(tcp("encrypted", own), encrypted)).toBe("t");
  });

  it("with the versions of TLS that are allowed", async () => {
    const version = (more: string) =>
      attempt(
        tcp("encrypted", `sslmode=require ${more}`),
        "select version from pg_stat_ssl where pid = pg_backend_pid()",
      );
    expect(await version("ssl_max_protocol_version=TLSv1.2")).toBe("TLSv1.2");
    expect(await version("ssl_min_protocol_version=tlsv1.3")).toBe("TLSv1.3");
    expect(await version("ssl_min_protocol_version=TLSv1.3 ssl_max_protocol_version=TLSv1.2")).toBe(
      "invalid SSL protocol version range",
    );
  });

  it("by the methods that are allowed", async () => {
    const scram = `password='s c:r\\\\a\\'m'`;
    const as = (user: string, more: string) => attempt(tcp(user, more), "select current_user");
    expect(await as("scram", `${scram} require_auth=scram-sha-256,md5`)).toBe("scram");
    expect(await as("scram", `${scram} require_auth=!password`)).toBe("scram");
    expect(await as("plain", "password=p sslmode=disable require_auth=scram-sha-256")).toBe(
      'authentication method requirement "scram-sha-256" failed: server requested a cleartext password',
    );
    expect(await as("hashed", "password=h sslmode=disable require_auth=!md5")).toBe(
      'authentication method requirement "!md5" failed: server requested a hashed password',
    );
    expect(await as("encrypted", "sslmode=require require_auth=none")).toBe("encrypted");
    expect(await as("encrypted", "sslmode=require require_auth=password")).toBe(
      'authentication method requirement "password" failed: server did not complete authentication',
    );
  });

  it("to no server that asks for GSS", async () => {
    // Not every PostgreSQL supports GSS; this server answers any startup message with
    // AuthenticationGSS.
    const asking = createServer((socket) => {
      socket.on("error", () => {});
      socket.once("data", () => socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 7])));
    }).listen(0, "127.0.0.1");
    await once(asking, "listening");
    const { port } = asking.address() as AddressInfo;
    const to = `host=127.0.0.1 port=${port} dbname=d user=u password=p sslmode=disable`;
    expect(await attempt(to, "select 1")).toBe("authentication method GSS not supported");
    expect(await attempt(`${to} require_auth=!gss`, "select 1")).toMatch(
      /server requested GSSAPI authentication$/,
    );
    asking.close();
  });

  it("with channel binding", async () => {
    const scram = `password='s c:r\\\\a\\'m' channel_binding=require`;
    const as = (user: string, more: string) => attempt(tcp(user, more), "select current_user");
    expect(await as("scram", `${scram} sslmode=require`)).toBe("scram");
    expect(await as("scram", `${scram} sslmode=disable`)).toBe(
      "channel binding required, but SSL not in use",
    );
    expect(await as("plain", "password=p channel_binding=require sslmode=require")).toBe(
      "channel binding required but not supported by server's authentication request",
    );
    expect(await as("encrypted", "channel_binding=require sslmode=require")).toBe(
      "channel binding required, but server authenticated client without channel binding",
    );
  });

  it("to a server that runs as the required user", async () => {
    const socket = `${server.conninfo} requirepeer`;
    const owner = process.getuid?.() === 0 ? "nobody" : userInfo().username;
    expect(await attempt(`${socket}=${owner}`, "select 1")).toBe("1");
    expect(await attempt(`${socket}=daemon`, "select 1")).toBe(
      `requirepeer specifies "daemon", but actual peer user name is "${owner}"`,
    );
  });

  it("with options and settings for the session", async () => {
    const show = (more: string, name: string) =>
      attempt(`${server.conninfo} ${more}`, `show ${name}`);
    expect(await show("options='-c work_mem=5MB -cgeqo=off'", "work_mem")).toBe("5MB");
    const uri = `postgresql:///postgres?host=${server.host}&port=${server.port}&user=postgres`;
    expect(await attempt(`${uri}&options=-c%20search_path%3Da,%5C%20b`, "show search_path")).toBe(
      "a, b",
    );
  });

  it("only if the server answers in time", async () => {
    let connections = 0;
    let answer = "";
    const silent = createServer((socket) => {
      connections++;
      socket.on("error", () => {}).once("data", () => socket.write(answer, "latin1"));
    }).listen(0, "127.0.0.1");
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const conninfo = `host=127.0.0.1 port=${port} user=u passfile=/nonexistent connect_timeout=2`;
    // There is no second attempt without TLS: it would take just as long.
    expect(await attempt(`${conninfo} sslmode=prefer`, "select 1")).toBe("timeout expired");
    expect(connections).toBe(1);
    // This server admits the client, but answers no query.
    answer = "R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I";
    const tried = `${conninfo} sslmode=disable`;
    expect(await attempt(`${tried} target_session_attrs=primary`, "select 1")).toBe(
      "timeout expired",
    );
    expect(
      await printedBy(
        `print(select(2, pg:new("${tried} pool_mode=session", "schema"):execute("select 1")))`,
        { open: openPg },
      ),
    ).toBe("Failed to set schema; timeout expired\n");
    silent.close();
  });

  it("with keepalives and a timeout set on its socket", async () => {
    let client: Client | undefined;
    const more =
      "keepalives_idle=7 keepalives_interval=8 keepalives_count=9 tcp_user_timeout=10000";
    const open = (options: string) =>
      connect({
        target: resolveTarget(tcp("plain", `password=p ${options}`)),
        setup: (made) => {
          client = made;
        },
        warn: () => {},
      });
    const values = () => {
      if (client === undefined) throw new Error("no session");
      const { stream } = rawClient(client).connection;
      // With TLS, the options are those of the underlying socket.
      const below = stream instanceof TLSSocket ? Reflect.get(stream, "_parent") : stream;
      const handle = below._handle ?? Reflect.get(stream, "_handle");
      const tcpOption = (option: number) => getSocketOption(handle.fd, 6, option, 4).readInt32LE();
      return [getIntOption(handle.fd, 9), ...[4, 5, 6, 18].map(tcpOption)];
    };
    await open(`${more} sslmode=require`);
    expect(values()).toEqual([1, 7, 8, 9, 10_000]);
    await client?.end();
    await open("sslmode=disable");
    const [isKept, ...system] = values();
    expect(isKept).toBe(1);
    expect(system).toEqual(
      ["keepalive_time", "keepalive_intvl", "keepalive_probes"]
        .map((name) => Number(readFileSync(`/proc/sys/net/ipv4/tcp_${name}`, "utf8")))
        .concat(0),
    );
    await client?.end();
    await open(`keepalives=0 ${more} sslmode=disable`);
    expect(values()[0]).toBe(0);
    await client?.end();
  });
});
