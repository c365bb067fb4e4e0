/**
 * Runs clients as other users, with peer.c, which is compiled into a directory of the test's own.
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeResponse } from "@cm4all/spawn-protocol";

const SOURCE = fileURLToPath(new URL("peer.c", import.meta.url));

/** A uid and gid that nothing else on the machine has. */
export const STRANGER = 54321;

export interface Credentials {
  readonly uid?: number;
  readonly gid?: number;
  /** Supplementary groups; none by default. */
  readonly groups?: readonly number[];
  /** Ambient capabilities, such as `sys_admin`. */
  readonly capabilities?: readonly string[];
}

/** Returns the start of a command line that runs a program with these credentials. */
export function as(credentials: Credentials): string[] {
  const { uid = STRANGER, gid = STRANGER, groups = [], capabilities = [] } = credentials;
  const sets = capabilities.map((name) => `+${name}`).join(",");
  return [
    "setpriv",
    `--reuid=${uid}`,
    `--regid=${gid}`,
    groups.length === 0 ? "--clear-groups" : `--groups=${groups.join(",")}`,
    ...(sets === "" ? [] : [`--inh-caps=${sets}`, `--ambient-caps=${sets}`]),
  ];
}

/**
 * The answers that a peer got, in order: `handles`, the text of an ERROR, `closed`, or an errno's
 * name.
 */
export type PeerResult = readonly string[];

export class Peer {
  readonly #started = new Set<ChildProcess>();
  readonly #directory = mkdtempSync(join(tmpdir(), "cm4all-spawn-peer-"));
  readonly #program = join(this.#directory, "peer");

  constructor() {
    chmodSync(this.#directory, 0o755);
    const warnings = ["-Wall", "-Wextra", "-Werror"];
    execFileSync("gcc", [...warnings, "-o", this.#program, SOURCE], { stdio: "inherit" });
  }

  /** Makes a set-uid copy of peer, which runs as root whoever starts it. @returns its path */
  setUidProgram(): string {
    const path = join(this.#directory, "set-uid-peer");
    copyFileSync(this.#program, path);
    chmodSync(path, 0o4755);
    return path;
  }

  #command(
    before: readonly string[],
    options: readonly string[],
    address: string,
    datagram: Uint8Array,
  ): [string, string[]] {
    const [program, ...args] = [...before, this.#program, ...options];
    if (program === undefined) throw new Error("no program");
    return [program, [...args, address.slice(1), Buffer.from(datagram).toString("hex")]];
  }

  /**
   * Runs a client until it ends.
   * @param before the command that starts the client; see `as`
   * @param options of peer.c
   */
  run(
    before: readonly string[],
    address: string,
    datagram: Uint8Array,
    options: readonly string[] = [],
  ): PeerResult {
    const [program, args] = this.#command(before, options, address, datagram);
    const result = spawnSync(program, args, {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
      timeout: 20_000,
    });
    if (result.status !== 0) throw new Error(`the peer failed: ${result.status ?? result.signal}`);
    return result.stdout.trim().split("\n").map(readLine);
  }

  /**
   * Starts a client, and waits for the first line that it prints; `endAll` ends the client.
   * @returns a function that returns the client's output so far
   */
  async start(
    before: readonly string[],
    address: string,
    datagram: Uint8Array,
    options: readonly string[],
  ): Promise<() => PeerResult> {
    const [program, args] = this.#command(before, options, address, datagram);
    const child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    this.#started.add(child);
    let printed = "";
    child.stdout.on("data", (data) => {
      printed += data;
    });
    await once(child.stdout, "data");
    return () => printed.split("\n").slice(0, -1).map(readLine);
  }

  /** Ends all started clients. */
  async endAll(): Promise<void> {
    for (const child of this.#started) {
      const ended = once(child, "exit");
      if (child.kill("SIGKILL")) await ended;
    }
    this.#started.clear();
  }

  /** Removes the program, and kills clients that are still running. */
  [Symbol.dispose](): void {
    for (const child of this.#started) child.kill("SIGKILL");
    rmSync(this.#directory, { recursive: true });
  }
}

function readLine(line: string): string {
  if (!/^[0-9a-f]+$/.test(line)) return line;
  const response = decodeResponse(Buffer.from(line, "hex"));
  return response.kind === "error" ? response.message : response.kind;
}
