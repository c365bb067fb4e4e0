/**
 * Probes for the needs of tests. If a need is not met, the test is skipped with the reason. If the
 * comma-separated list `TEST_MUST_RUN` contains the name of the need, or `all`, the test fails
 * instead, so that nothing is silently skipped in CI.
 */
import { spawnSync } from "node:child_process";
import { cgroup2Mount } from "./cgroup.ts";
import { postgresMissing } from "./postgres-programs.ts";
import { unpackedMissing } from "./unpacked.ts";

/** Returns what is missing, as `needs ...`; undefined if the need is met. */
type Probe = () => string | undefined;

const probes = {
  root: () => (process.getuid?.() === 0 ? undefined : "needs root"),
  catatonit: () => program("catatonit"),
  iproute2: () => program("ip"),
  ping: () => program("ping"),
  nft: () => program("nft"),
  strace: () => program("strace"),
  gcc: () => program("gcc"),
  valgrind: () => program("valgrind"),
  git: () => program("git"),
  ssh: () => program("ssh"),
  // The system's own Python, even if another one comes first on the PATH.
  python3: () => program("/usr/bin/python3"),
  systemd: () => program("systemd-analyze"),
  cgroup2: () => (cgroup2Mount() === undefined ? "needs a mounted cgroup2" : undefined),
  luajit: () => program("luajit"),
  psql: () => program("psql"),
  debhelper: () => program("dh") ?? program("dpkg-buildpackage"),
  lintian: () => program("lintian"),
  postgres: postgresMissing,
  promtool: () => unpackedMissing("promtool"),
  chromium: () => unpackedMissing("chromium"),
  prometheus: () => unpackedMissing("prometheus"),
  visudo: () => unpackedMissing("visudo"),
  pgbouncer: () => unpackedMissing("pgbouncer"),
} satisfies Record<string, Probe>;

export type Need = keyof typeof probes;

/** A probe for a program: returns what is missing if `name` is not on the PATH. */
function program(name: string): string | undefined {
  const found = spawnSync("sh", ["-c", `command -v ${name}`]).status === 0;
  return found ? undefined : `needs the program ${name}`;
}

/**
 * Returns the first reason why a test cannot run here; undefined if there is none. For
 * `describe.skipIf(missing("root", "catatonit"))`.
 * @param needs names of needs, or probes for needs of this test only
 * @throws Error if TEST_MUST_RUN forbids skipping the test
 */
export function missing(...needs: (Need | Probe)[]): string | undefined {
  const mustRun = (process.env["TEST_MUST_RUN"] ?? "").split(",");
  for (const need of needs) {
    const reason = typeof need === "string" ? probes[need]() : need();
    if (reason === undefined) continue;
    if (mustRun.includes("all") || (typeof need === "string" && mustRun.includes(need)))
      throw new Error(`TEST_MUST_RUN: ${reason}`);
    console.warn(`skipped: ${reason}`);
    return reason;
  }
  return undefined;
}
