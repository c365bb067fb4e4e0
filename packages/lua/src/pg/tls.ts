/**
 * Reads the files that a connection's TLS options name, and returns the options in Node's form.
 * @see PostgreSQL manual, "SSL Support"
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { isIP } from "node:net";
import { join } from "node:path";
import { type ConnectionOptions, checkServerIdentity, type SecureVersion } from "node:tls";
import { systemErrorText } from "../compat/system-error.ts";
import type { Host, Target } from "./target.ts";

/** Debian's bundle of the certificates that `update-ca-certificates` trusts. */
const SYSTEM_ROOTS = "/etc/ssl/certs/ca-certificates.crt";

/**
 * Returns the options for a host. As in libpq, `verify-ca` checks the signature of the certificate,
 * and so does `require` if there are root certificates; `verify-full` checks the host name, too.
 * @throws Error if a file is missing or cannot be used
 */
export function tlsOptions(target: Target, host: Host): ConnectionOptions {
  const mode = target.option("sslmode");
  const ca = rootCertificates(target);
  if (ca === undefined && mode?.startsWith("verify-"))
    throw new Error(
      `root certificate file "${path(target, "sslrootcert", "root.crt")}" does not exist. Either provide the file, use the system's trusted roots with sslrootcert=system, or change sslmode to disable server certificate verification.`,
    );
  const crl = ca === undefined ? [] : revocations(target);
  const maxVersion = version(target, "ssl_max_protocol_version");
  const minVersion = version(target, "ssl_min_protocol_version");
  return {
    rejectUnauthorized: ca !== undefined && mode !== "prefer" && mode !== "allow",
    ...(ca === undefined ? {} : { ca }),
    ...(crl.length === 0 ? {} : { crl }),
    ...clientCertificate(target),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(isIP(host.host) === 0 && target.option("sslsni") === "1" ? { servername: host.host } : {}),
    checkServerIdentity: (_, certificate) =>
      mode === "verify-full" ? checkServerIdentity(host.host, certificate) : undefined,
  };
}

function rootCertificates(target: Target): Buffer | undefined {
  if (target.option("sslrootcert") !== "system") return read(target, "sslrootcert", "root.crt");
  const file = process.env["SSL_CERT_FILE"] ?? SYSTEM_ROOTS;
  try {
    return readFileSync(file);
  } catch (error) {
    throw new Error(
      `could not read the system's certificates "${file}": ${systemErrorText(error)}`,
    );
  }
}

function revocations(target: Target): Buffer[] {
  const file = read(target, "sslcrl", "root.crl");
  const directory = target.option("sslcrldir");
  const inDirectory = directory ? readdirSync(directory).map((name) => join(directory, name)) : [];
  return [...(file === undefined ? [] : [file]), ...inDirectory.map((name) => readFileSync(name))];
}

function clientCertificate(target: Target): ConnectionOptions {
  if (target.option("sslcertmode") === "disable") return {};
  const cert = read(target, "sslcert", "postgresql.crt");
  if (cert === undefined) return {};
  const keyFile = path(target, "sslkey", "postgresql.key") ?? "";
  const passphrase = target.option("sslpassword");
  return { cert, key: readKey(keyFile), ...(passphrase ? { passphrase } : {}) };
}

/** Reads a private key. As in libpq, a key that others may read is refused. */
function readKey(file: string): Buffer {
  const stats = statSync(file, { throwIfNoEntry: false });
  if (stats === undefined)
    throw new Error(`certificate present, but not private key file "${file}"`);
  if ((stats.mode & (stats.uid === 0 ? 0o027 : 0o077)) !== 0)
    throw new Error(
      `private key file "${file}" has group or world access; file must have permissions u=rw (0600) or less if owned by the current user, or permissions u=rw,g=r (0640) or less if owned by root`,
    );
  return readFileSync(file);
}

/**
 * Reads the file that an option names, by default `fallback` in ~/.postgresql.
 * @returns undefined if the option is not given and the default file cannot be read
 */
function read(target: Target, name: string, fallback: string): Buffer | undefined {
  const file = path(target, name, fallback);
  if (file === undefined) return undefined;
  try {
    return readFileSync(file);
  } catch (error) {
    if (!target.option(name)) return undefined;
    throw new Error(`could not read ${name} "${file}": ${systemErrorText(error)}`);
  }
}

function path({ option, home }: Target, name: string, fallback: string): string | undefined {
  return option(name) || (home === undefined ? undefined : join(home, ".postgresql", fallback));
}

/** Returns a version of TLS as OpenSSL and Node spell it. */
function version(target: Target, name: string): SecureVersion | undefined {
  const text = target.option(name)?.toLowerCase();
  const known: readonly SecureVersion[] = ["TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
  return known.find((candidate) => candidate.toLowerCase() === text);
}
