/** Tests that each alert of examples/prometheus fires if its fault occurs, and only then. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setXattr } from "@cm4all/linux";
import { cgroup2Mount, freePort, missing, Postgres, unpackedProgram } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { Controllers } from "./support/controllers.ts";
import { kill, TestDaemon, until } from "./support/daemon.ts";
import { EXAMPLES, TestPrometheus } from "./support/prometheus.ts";

/** A fault is reported within seconds, but the machine may be busy. */
const PATIENCE_MS = 90_000;

const readExample = (name: string) => readFileSync(join(EXAMPLES, name), "utf8");

/** Returns the names of the alerts, or of the recording rules, in a file. */
const namesOf = (kind: "alert" | "record", file: string) =>
  [...readExample(file).matchAll(new RegExp(`- ${kind}: (\\S+)`, "g"))].map(
    ([, name = ""]) => name,
  );

const alertNames = namesOf("alert", "cm4all-spawn.alerts.yml");
const recordNames = [...new Set(namesOf("record", "cm4all-spawn.records.yml"))];

it.skipIf(missing("promtool") !== undefined)("the rules pass their unit tests", () => {
  const { stdout, stderr, status } = spawnSync(
    unpackedProgram("promtool"),
    ["test", "rules", join(EXAMPLES, "cm4all-spawn.test.yml")],
    { encoding: "utf8" },
  );
  expect(stdout + stderr).toContain("SUCCESS");
  expect(status).toBe(0);
});

describe("the unit tests", () => {
  const expected = readExample("cm4all-spawn.test.yml");

  it.each(alertNames)("expect the alert %s", (name) => {
    expect(expected).toMatch(
      new RegExp(`labels: '.*alertname="${name}",(alertstate="firing",)?severity=`),
    );
  });

  it.each(recordNames)("expect a value of the recording rule %s", (name) => {
    expect(expected).toContain(`labels: '${name}{`);
  });
});

const needs = missing("root", "catatonit", "cgroup2", "strace", "postgres", "prometheus", "gcc");

describe.skipIf(needs !== undefined)(
  "a daemon that Prometheus watches",
  { timeout: 240_000 },
  () => {
    let prometheus: TestPrometheus;
    let good: AccountingHost;
    let address: string;
    const fired = new Set<string>();

    beforeAll(async () => {
      prometheus = await TestPrometheus.start();
      good = new AccountingHost();
      good.writeHandler("say(cgroup.path)");
      address = await serve(good);
      await good.start();
      await good.untilReady();
      prometheus.watch("good", address);
    });
    afterAll(async () => {
      await prometheus.stop();
      await good.stop();
    });

    /** Adds the section `metrics` to a host's configuration. @returns the address */
    async function serve(host: AccountingHost): Promise<string> {
      const listen = `127.0.0.1:${await freePort()}`;
      host.reaperConfig += `[metrics]\nlisten = "${listen}"\n`;
      return listen;
    }

    /** Returns a host that Prometheus scrapes once `watch` is called, until the end of the test. */
    async function makeHost(): Promise<AccountingHost & { watch(): void }> {
      const host = new AccountingHost();
      const listen = await serve(host);
      const name = expect.getState().currentTestName ?? "";
      onTestFinished(async () => {
        prometheus.forget(name);
        await host.stop();
      });
      return Object.assign(host, { watch: () => prometheus.watch(name, listen) });
    }

    /**
     * Returns a host whose daemon accounts cgroups and is scraped.
     * @param config further sections of the configuration
     */
    async function makeReadyHost(config = ""): Promise<AccountingHost> {
      const host = await makeHost();
      host.reaperConfig += config;
      host.writeHandler("say(cgroup.path)");
      await host.start();
      await host.untilReady();
      host.watch();
      return host;
    }

    /** Returns the names of the alerts that fire, or have fired, for the host of this test. */
    async function firedHere(): Promise<string[]> {
      const instance = JSON.stringify(expect.getState().currentTestName ?? "");
      const samples = await prometheus.query(
        `last_over_time(ALERTS{alertstate="firing", instance=${instance}}[10m])`,
      );
      return [...new Set(samples.map(({ metric }) => metric["alertname"] ?? ""))].sort();
    }

    /** Waits for alerts of this test's host, and expects no others. */
    function expectAlerts(...names: string[]): Promise<void> {
      return expectAlertsBeside([], ...names);
    }

    /**
     * Waits for alerts as `expectAlerts` does.
     * @param perhaps other alerts that may fire if the machine is slow
     */
    async function expectAlertsBeside(perhaps: string[], ...names: string[]): Promise<void> {
      const full = names.map((name) => `CM4allSpawn${name}`).sort();
      const isThere = async () => {
        const now = await firedHere();
        return full.every((name) => now.includes(name));
      };
      await until(isThere, `${full} fire`, PATIENCE_MS);
      for (const { annotations, labels } of await prometheus.alerts()) {
        expect(labels["severity"]).toMatch(/^(critical|warning|info)$/);
        for (const text of [annotations["summary"], annotations["description"]])
          expect(text).toMatch(/^(?!.*(<error|no value|\{\{)).{10,}/s);
      }
      const others = perhaps.map((name) => `CM4allSpawn${name}`);
      expect((await firedHere()).filter((name) => !others.includes(name))).toEqual(full);
      for (const name of full) fired.add(name);
    }

    it("is not running", async () => {
      prometheus.watch(expect.getState().currentTestName ?? "", `127.0.0.1:${await freePort()}`);
      await expectAlerts("Down");
      prometheus.forget(expect.getState().currentTestName ?? "");
    });

    it("is killed again and again", async () => {
      const host = await makeReadyHost();
      const instance = JSON.stringify(expect.getState().currentTestName ?? "");
      const starts = async () =>
        (await prometheus.query(`changes(process_start_time_seconds{instance=${instance}}[1h])`))[0]
          ?.value;
      for (let life = 0; life < 3; life++) {
        await until(async () => (await starts()) === life, "its start is seen", PATIENCE_MS);
        await host.crash();
        await host.start();
      }
      await expectAlertsBeside(["Down"], "Restarts");
    });

    it("has a mistake in its configuration", async () => {
      const host = await makeReadyHost();
      await untilScraped();
      host.configure("mistake = 1\n");
      await expectAlerts("OlderConfiguration");
    });

    /** Waits until the host has been scraped: Prometheus then sees later increases of counters. */
    async function untilScraped(): Promise<void> {
      const instance = JSON.stringify(expect.getState().currentTestName ?? "");
      const scrapes = `count_over_time(up{instance=${instance}}[1h])`;
      await until(
        async () => ((await prometheus.query(scrapes))[0]?.value ?? 0) >= 2,
        "it is scraped",
        PATIENCE_MS,
      );
    }

    it("reaches the limit on names, refuses another, and gets a malformed request", async () => {
      const host = await makeReadyHost("[namespaces]\nmax_names = 9\n");
      await untilScraped();
      using client = host.daemon.connect();
      for (let i = 0; i < 9; i++) client.inodes(`name-${i}`, { ipc: true });
      await expectAlerts("LimitNear");
      expect(() => client.inodes("another", { ipc: true })).toThrow();
      await expectAlerts("LimitNear", "RequestsFail");
      client.send(Buffer.from("hello"));
      await expectAlerts("LimitNear", "RequestsFail", "RequestsRefused");
    });

    it("has a slow kernel", async () => {
      const host = await makeHost();
      host.writeHandler("say(cgroup.path)");
      const trace = ["-f", "-D", "-qq", "-o", "/dev/null", "-e", "trace=unshare"];
      await host.start("", {
        wrapper: ["strace", ...trace, "-e", "inject=unshare:delay_enter=300ms"],
      });
      await host.untilReady();
      host.watch();
      await untilScraped();
      using client = host.daemon.connect();
      const requests = setInterval(() => client.inodes(`name-${Date.now()}`, { ipc: true }), 1000);
      onTestFinished(() => clearInterval(requests));
      await expectAlerts("SlowAnswers");
      clearInterval(requests);
    });

    it("has cgroups that reach their limits on memory and processes", async () => {
      using controllers = new Controllers();
      const host = await makeHost();
      host.writeHandler("say(cgroup.path)");
      await host.start("", { env: controllers.env });
      await host.untilReady();
      host.watch();
      await untilScraped();
      controllers.set("memory.events", "oom 1\noom_kill 1\n");
      await host.scratch.runToEnd("a.scope/killed");
      await expectAlerts("OomKills");
      controllers.set("pids.events", "max 1\n");
      await host.scratch.runToEnd("a.scope/refused");
      await expectAlerts("OomKills", "RefusedForks");
    });

    it("has inits that end", async () => {
      const host = await makeReadyHost();
      using client = host.daemon.connect();
      client.inodes("name", { pid: true });
      await untilScraped();
      const init = host.daemon.childPids().find((pid) => !host.scriptHostPids.includes(pid));
      kill(init);
      await expectAlerts("InitsEnd");
    });

    it("cannot run its reaper", async () => {
      const name = expect.getState().currentTestName ?? "";
      const listen = `127.0.0.1:${await freePort()}`;
      const cover = `mount -t tmpfs none ${cgroup2Mount()} && exec "$@"`;
      const daemon = await TestDaemon.start({
        config: `[reaper]\nscopes = ["*.scope"]\n[metrics]\nlisten = "${listen}"\n`,
        wrapper: ["unshare", "-m", "sh", "-c", cover, "sh"],
      });
      onTestFinished(() => {
        prometheus.forget(name);
        return daemon.stop();
      });
      await daemon.untilLogged("the reaper ended");
      prometheus.watch(name, listen);
      await expectAlerts("ReaperGone");
    });

    it("has lost a scope", async () => {
      const host = await makeReadyHost();
      rmdirSync(join(host.scratch.path, "a.scope"));
      await expectAlerts("NoScope");
    });

    it("is refused watches by the kernel", async () => {
      const host = await makeHost();
      host.writeHandler("say(cgroup.path)");
      const trace = ["-f", "-D", "-qq", "-o", "/dev/null", "-e", "trace=inotify_add_watch"];
      await host.start("", {
        wrapper: ["strace", ...trace, "-e", "inject=inotify_add_watch:error=ENOSPC"],
      });
      await host.untilReady();
      host.watch();
      await expectAlerts("WatchesRefused");
    });

    it("has a script with a mistake, and then no script", async () => {
      const host = await makeHost();
      host.writeScript("function (");
      await host.start();
      host.watch();
      await host.scratch.runToEnd("a.scope/job");
      await expectAlerts("ScriptDown");
      await host.crash();
      await host.startWith('script = ""\n');
      await expectAlerts("ScriptDown", "NoHandler");
    });

    it("cannot reach its database for hours", async () => {
      await using server = await Postgres.start();
      const host = await makeHost();
      host.writeHandler(
        'assert(db:execute("SELECT 1"))',
        `handlers_bear_repetition = true db = pg:new(${JSON.stringify(server.conninfo)})`,
      );
      // The clock of this daemon is two hours slow; the clock of the next one is not.
      const clock = join(host.directory, "clock.cjs");
      writeFileSync(clock, "const now = Date.now; Date.now = () => now() - 7200000;");
      await host.start("", { env: { NODE_OPTIONS: `--require ${clock}` } });
      await host.untilReady();
      host.watch();
      await host.scratch.runToEnd("a.scope/first");
      await until(async () => (await host.accounting()).accountedCgroups === 1, "it is accounted");
      await server.pause();
      await host.scratch.runToEnd("a.scope/second");
      await expectAlerts("HandlersFail");
      await host.crash();
      await host.start();
      await expectAlerts("HandlersFail", "WaitsLong");
    });

    it("has handlers that fail, one of them after it had an effect, and records that are dropped", async () => {
      const host = await makeHost();
      host.writeHandler(
        'if cgroup.path:find("fails") then error("no") end say(cgroup.path) if cgroup.path:find("late") then error("late") end',
      );
      await host.start();
      await host.untilReady();
      host.watch();
      await untilScraped();
      await host.scratch.runToEnd("a.scope/good");
      await host.scratch.runToEnd("a.scope/fails");
      await until(async () => (await host.accounting()).failedHandlers > 0, "it fails");
      const others = setInterval(() => void host.scratch.runToEnd(`a.scope/${Date.now()}`), 500);
      onTestFinished(() => clearInterval(others));
      await expectAlerts("SomeHandlersFail");
      await host.scratch.runToEnd("a.scope/late");
      await expectAlerts("SomeHandlersFail", "Parked");
      // Only parked records are dropped; the others will soon be accounted.
      const parked = (await host.records()).filter(({ state }) => state === "parked");
      const numbers = parked.map(({ number }) => number);
      await host.daemon.control({ command: "drop-records", numbers });
      await expectAlerts("SomeHandlersFail", "Parked", "CgroupsLost");
      clearInterval(others);
    });

    it("has a script whose process is killed again and again", async () => {
      const host = await makeReadyHost();
      await untilScraped();
      for (let kills = 1; kills <= 4; kills++) {
        kill(host.scriptHostPid);
        await until(
          async () => {
            const { hostRestarts, script } = await host.accounting();
            return hostRestarts === kills && script === "ready";
          },
          "it runs again",
          PATIENCE_MS,
        );
      }
      // The pauses before the starts grow, so that the script is down for some of the time.
      await expectAlertsBeside(["ScriptDown"], "ScriptRestarts");
    });

    it.each(["full", "read-only"])("has a disk that is %s", async (fault) => {
      const host = await makeHost();
      host.writeHandler("say(cgroup.path)");
      mkdirSync(host.journal);
      const fill =
        fault === "full" ? 'cat /dev/zero >"$0/fill" 2>&-;' : 'mount -o remount,ro "$0";';
      const script = `mount -t tmpfs -o size=6m none "$0" && { ${fill} exec "$@"; }`;
      await host.start("", { wrapper: ["unshare", "-m", "sh", "-c", script, host.journal] });
      host.watch();
      await host.scratch.runToEnd("a.scope/job");
      await expectAlerts("JournalFails");
    });

    /** Makes the records of cgroups 120 KB long, with extended attributes of their scope. */
    function enlargeRecords({ scratch }: AccountingHost): void {
      const scope = openSync(join(scratch.path, "a.scope"), "r");
      for (let i = 0; i < 30; i++) setXattr(scope, `user.filler${i}`, Buffer.alloc(4000, "x"));
      closeSync(scope);
    }

    it("has a full journal", async () => {
      const host = await makeHost();
      enlargeRecords(host);
      host.writeScript("function (");
      await host.start("journal_mib = 16\n");
      host.watch();
      const isFull = async () => (await host.accounting()).journal === "full";
      for (let i = 0; !(await isFull()) && i < 300; i++)
        await host.scratch.runToEnd(`a.scope/${i}`);
      expect(await isFull()).toBe(true);
      await expectAlerts("ScriptDown", "LimitNear", "JournalFull");
    });

    it("has a disk from which records cannot be read", async () => {
      const host = await makeHost();
      enlargeRecords(host);
      host.writeScript("function (");
      await host.start();
      // More records than the daemon reads in one go.
      for (let i = 0; i < 80; i++) await host.scratch.runToEnd(`a.scope/${i}`);
      const allWait = () =>
        until(async () => (await host.accounting()).waitingCgroups === 80, "all wait");
      await allWait();
      await host.crash();
      await host.start();
      await allWait();
      const paths = readdirSync(host.journal).flatMap((name) => ["-P", join(host.journal, name)]);
      const inject = ["-e", "trace=pread64", "-e", "inject=pread64:error=EIO"];
      const tracer = spawn("strace", ["-f", "-p", `${host.daemon.pid}`, ...paths, ...inject], {
        stdio: ["ignore", "ignore", "pipe"],
      });
      let said = "";
      tracer.stderr.on("data", (data) => {
        said += data;
      });
      onTestFinished(async () => {
        const ended = once(tracer, "exit");
        if (tracer.kill("SIGINT")) await ended;
      });
      await until(() => said.includes("attached"), "strace is there");
      host.writeHandler("say(cgroup.path)");
      host.daemon.child.kill("SIGHUP");
      await until(
        async () => (await host.accounting()).unreadableRecords > 0,
        "some cannot be read",
      );
      host.watch();
      // A pass over a whole file meets the same errors, and counts them as damage.
      await expectAlertsBeside(["JournalDamaged"], "RecordsUnreadable");
    });

    it("has a journal that was partly overwritten", async () => {
      const host = await makeHost();
      host.writeScript("function (");
      await host.start();
      for (const name of ["a", "b", "c"]) await host.scratch.runToEnd(`a.scope/${name}`);
      await until(async () => (await host.accounting()).waitingCgroups === 3, "all wait");
      await host.crash();
      const [file = ""] = readdirSync(host.journal).filter((name) => name.endsWith(".journal"));
      const path = join(host.journal, file);
      const bytes = readFileSync(path);
      bytes.write("X", bytes.indexOf("a.scope/a"));
      writeFileSync(path, bytes);
      host.writeHandler("say(cgroup.path)");
      await host.start();
      host.watch();
      await expectAlertsBeside(["Parked"], "JournalDamaged");
    });

    it("all alerts have fired", () => {
      expect([...fired].sort()).toEqual([...alertNames].sort());
    });

    it("no alert has fired for the daemon without a fault", async () => {
      using client = good.daemon.connect();
      client.inodes("name", { ipc: true, pid: true });
      await good.scratch.runToEnd("a.scope/job");
      await until(async () => (await good.accounting()).accountedCgroups > 0, "it accounts");
      await until(
        async () =>
          (
            await prometheus.query(
              'cm4all_spawn_accounting_accounted_cgroups_total{instance="good"}',
            )
          )[0]?.value === 1,
        "Prometheus has seen that",
        PATIENCE_MS,
      );
      expect(await prometheus.query('last_over_time(ALERTS{instance="good"}[1h])')).toEqual([]);
    });
  },
);
