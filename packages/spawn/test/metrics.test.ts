import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { get } from "node:http";
import { missing, ScratchCgroup, unpackedProgram } from "@cm4all/testing";
import { afterEach, describe, expect, it } from "vitest";
import { TestDaemon, until } from "./support/daemon.ts";

function fetchMetrics(
  socketPath: string,
  path = "/metrics",
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text }));
    }).on("error", reject);
  });
}

const MANUAL = new URL("../../../docs/man/cm4all-spawn-metrics.7", import.meta.url);

const cannotRun = missing("root", "catatonit") !== undefined;

describe.skipIf(cannotRun)("metrics", () => {
  const socket = `/tmp/cm4all-spawn-metrics-${process.pid}.sock`;
  const config = `[metrics]\nlisten = "${socket}"\n`;
  let daemon: TestDaemon;
  let scratch: ScratchCgroup | undefined;

  async function start(more = ""): Promise<void> {
    daemon = await TestDaemon.start({ config: config + more });
    await daemon.untilLogged(`metrics are served at ${socket}`);
  }

  afterEach(async () => {
    await daemon.stop();
    await scratch?.remove();
    scratch = undefined;
  });

  it("count what the daemon does", async () => {
    await start();
    using client = daemon.connect();
    client.inodes("a", { ipc: true, pid: true });
    client.inodes("a", { ipc: true });
    using _lease = client.ask("b", { lease: true });
    await until(async () => (await daemon.status()).names === 2, "both names are there");
    const { status, text } = await fetchMetrics(socket);
    expect(status).toBe(200);
    const lines = text.split("\n");
    for (const line of [
      'cm4all_spawn_namespace_requests_total{result="answered"} 3',
      'cm4all_spawn_namespace_requests_total{result="refused"} 0',
      'cm4all_spawn_namespace_requested_total{kind="ipc"} 2',
      'cm4all_spawn_namespace_requested_total{kind="lease"} 1',
      'cm4all_spawn_namespace_kept{kind="pid"} 1',
      "cm4all_spawn_namespace_leased_names 1",
      "cm4all_spawn_namespace_open_descriptors 2",
      "# TYPE cm4all_spawn_namespace_request_duration_seconds histogram",
      'cm4all_spawn_namespace_request_duration_seconds_bucket{le="+Inf"} 3',
      "cm4all_spawn_namespace_request_duration_seconds_count 3",
    ])
      expect(lines).toContain(line);
    // The daemon reaps no cgroups here.
    expect(text).not.toMatch(/^cm4all_spawn_(reaper|accounting)/m);
    for (const path of ["/metrics?x=y", "http://any.host:9/metrics", "HTTP://h/metrics?a#b"])
      expect((await fetchMetrics(socket, path)).status, path).toBe(200);
    for (const path of ["/", "/metrics/", "//metrics", "http://h", "*"])
      expect((await fetchMetrics(socket, path)).status, path).toBe(404);
  });

  it("describe the process, without values that are reset when they are read", async () => {
    await start();
    const { text } = await fetchMetrics(socket);
    for (const name of [
      "process_cpu_seconds_total",
      "process_resident_memory_bytes",
      "process_open_fds",
      "process_start_time_seconds",
    ])
      expect(text).toMatch(new RegExp(`^${name} [\\d.e+]+$`, "m"));
    expect(text.match(/^nodejs_\w+/gm)).toEqual(["nodejs_version_info"]);
    const turns = async () =>
      Number(
        /^cm4all_spawn_namespace_turn_seconds_count (\d+)$/m.exec(
          (await fetchMetrics(socket)).text,
        )?.[1],
      );
    const before = await turns();
    expect(before).toBeGreaterThan(0);
    expect(await turns()).toBeGreaterThan(before);
  });

  it("have each series once after the address has changed", async () => {
    await start();
    const other = `${socket}.other`;
    writeFileSync(daemon.configFile, `[metrics]\nlisten = "${other}"\n`);
    daemon.child.kill("SIGHUP");
    await daemon.untilLogged(`metrics are served at ${other}`);
    const { status, text } = await fetchMetrics(other);
    expect(status).toBe(200);
    const series = text.split("\n").filter((line) => /^\w/.test(line));
    const names = series.map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(new Set(names).size).toBe(names.length);
  });

  it.skipIf(missing("cgroup2") !== undefined)("are those that the manual page lists", async () => {
    scratch = new ScratchCgroup();
    await start(`[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]\n`);
    const names = async () =>
      [...(await fetchMetrics(socket)).text.matchAll(/^# TYPE (\w+)/gm)].map(([, name]) => name);
    await until(
      async () => (await names()).includes("cm4all_spawn_reaper_scopes"),
      "the reaper runs",
    );
    const manual = readFileSync(MANUAL, "utf8").replaceAll("\\-", "-");
    const listed = [...manual.matchAll(/^\.TP\n\.B (\w+)$/gm)].map(([, name]) => name);
    expect((await names()).toSorted()).toEqual(listed.toSorted());
  });

  const cannotCheck = missing("promtool", "cgroup2") !== undefined;
  it.skipIf(cannotCheck)("have names and help texts that promtool accepts", async () => {
    scratch = new ScratchCgroup();
    scratch.make("a.scope");
    await start(`[reaper]\ncgroup_root = "${scratch.path}"\nscopes = ["*.scope"]\n`);
    using client = daemon.connect();
    client.inodes("a", { ipc: true, pid: true });
    await scratch.runToEnd("a.scope/job");
    await until(
      async () => /scope_cpu_seconds_total\{/.test((await fetchMetrics(socket)).text),
      "the cgroup is reaped",
    );
    const { text } = await fetchMetrics(socket);
    for (const name of ["namespace_names", "reaper_rescans_total", "accounting_script"])
      expect(text).toMatch(new RegExp(`^cm4all_spawn_${name}(\\{.*\\})? \\d+$`, "m"));
    expect(checkMetrics(text)).toEqual({ status: 0, output: "" });
    // promtool does complain about a wrong name.
    const { status, output } = checkMetrics("# TYPE a_total gauge\na_total 1\n");
    expect(status).not.toBe(0);
    expect(output).toContain("_total");
  });
});

/** Runs `promtool check metrics`. */
function checkMetrics(text: string): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync(unpackedProgram("promtool"), ["check", "metrics"], {
    input: text,
    encoding: "utf8",
  });
  return { status, output: stdout + stderr };
}
