/**
 * Checks the dashboards of examples/grafana against Grafana's schema, and runs each query on a real
 * server.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { freePort, missing, type Postgres } from "@cm4all/testing";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AccountingHost } from "./support/accounting.ts";
import { until } from "./support/daemon.ts";
import {
  CHOICES,
  type Dashboard,
  dashboardFiles,
  postgresQueries,
  prometheusQueries,
  readDashboard,
} from "./support/dashboards.ts";
import { connectTo, startFleetDatabase } from "./support/fleet-database.ts";
import { TestPrometheus } from "./support/prometheus.ts";

const require = createRequire(import.meta.url);

/** For each type of panel, the module of @grafana/schema that declares the panel's options. */
const PANELS: Readonly<Record<string, string>> = {
  bargauge: "bargauge",
  stat: "stat",
  "state-timeline": "statetimeline",
  table: "table",
  timeseries: "timeseries",
};

/**
 * Compiles a dashboard as a literal of Grafana's types: the compiler reports properties that these
 * types do not declare. Returns the compiler's errors.
 */
function compile(dashboard: Dashboard): string {
  const types = join(dirname(require.resolve("@grafana/schema/package.json")), "dist/types");
  const directory = mkdtempSync(join(tmpdir(), "dashboards-"));
  try {
    const lines = [
      'import type { Dashboard, Panel, RowPanel } from "@grafana/schema";',
      // In JSON, a member of an enumeration is a plain string.
      "type Json<T> = T extends string ? `${T}` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;",
      `export const dashboard: Json<Dashboard> = ${JSON.stringify(dashboard)};`,
    ];
    for (const [index, panel] of dashboard.panels.entries()) {
      const kind = panel.type === "row" ? "RowPanel" : "Panel";
      lines.push(`export const panel${index}: Json<${kind}> = ${JSON.stringify(panel)};`);
      if (panel.type === "row") continue;
      const module = `@grafana/schema/raw/composable/${PANELS[panel.type]}/panelcfg/x/types.gen`;
      const options = JSON.stringify(panel.options);
      lines.push(
        `export const options${index}: Json<Partial<import("${module}").Options>> = ${options};`,
      );
    }
    writeFileSync(join(directory, "check.ts"), lines.join("\n"));
    const compilerOptions = {
      strict: true,
      noEmit: true,
      skipLibCheck: true,
      module: "esnext",
      moduleResolution: "bundler",
      types: [],
      paths: { "@grafana/schema": [`${types}/index.d.ts`], "@grafana/schema/*": [`${types}/*`] },
    };
    writeFileSync(
      join(directory, "tsconfig.json"),
      JSON.stringify({ compilerOptions, files: ["check.ts"] }),
    );
    const tsc = join(dirname(require.resolve("typescript/package.json")), "bin/tsc");
    const { stdout, stderr } = spawnSync(process.execPath, [tsc, "--project", directory], {
      encoding: "utf8",
    });
    return stdout + stderr;
  } finally {
    rmSync(directory, { recursive: true });
  }
}

describe.each(dashboardFiles)("%s", (file) => {
  const dashboard = readDashboard(file);

  it("conforms to Grafana's schema", () => {
    expect(compile(dashboard)).toBe("");
  });

  it("has no two panels with the same title", () => {
    const titles = dashboard.panels.map(({ title }) => title);
    expect(new Set(titles).size).toBe(titles.length);
  });
});

it("the check against Grafana's schema finds mistakes", () => {
  const [file = ""] = dashboardFiles;
  const dashboard = readDashboard(file);
  const [panel, ...panels] = dashboard.panels;
  if (panel === undefined) throw new Error("no panel");
  for (const wrong of [
    { ...panel, titel: "" },
    { ...panel, options: { graphMode: 1 } },
  ])
    expect(compile({ ...dashboard, panels: [wrong, ...panels] })).toMatch(/error TS/);
});

const needs = missing("root", "catatonit", "cgroup2", "prometheus");

/** Queries for series that some hosts do not have, or for alerts, of which none fires here. */
const MAY_BE_EMPTY = /^ALERTS|scope_(memory|oom|refused|read|written)/;

describe.skipIf(needs !== undefined)("queries for Prometheus", () => {
  let prometheus: TestPrometheus;
  let host: AccountingHost;
  beforeAll(async () => {
    prometheus = await TestPrometheus.start();
    host = new AccountingHost();
    const listen = `127.0.0.1:${await freePort()}`;
    host.reaperConfig = `[metrics]\nlisten = "${listen}"\n`;
    host.writeHandler("say(cgroup.path)");
    await host.start();
    await host.untilReady();
    prometheus.watch("web1", listen);
    using client = host.daemon.connect();
    client.inodes("name", { ipc: true, pid: true });
    await host.scratch.runToEnd("a.scope/job");
    const recorded = "instance:cm4all_spawn_accounted_cgroups:rate5m";
    const isThere = async () => (await prometheus.query(recorded)).length > 0;
    await until(isThere, "there are rates", 90_000);
    await host.scratch.runToEnd("a.scope/another");
    const scrapes = async () =>
      (
        await prometheus.query("count_over_time(cm4all_spawn_reaper_scope_cpu_seconds_total[1m])")
      )[0]?.value ?? 0;
    await until(async () => (await scrapes()) > 2, "it is scraped", 90_000);
  }, 200_000);
  afterAll(async () => {
    await prometheus.stop();
    await host.stop();
  });

  it.each(dashboardFiles.flatMap((file) => prometheusQueries(readDashboard(file), "web1")))(
    "$place: $text",
    async ({ text }) => {
      const samples = await prometheus.query(text);
      if (!MAY_BE_EMPTY.test(text)) expect(samples).not.toEqual([]);
    },
  );
});

describe.skipIf(missing("postgres") !== undefined)("queries for PostgreSQL", () => {
  let server: Postgres;
  beforeAll(async () => {
    server = await startFleetDatabase();
    const client = await connectTo(server);
    await client.query("ALTER ROLE reports SET TimeZone = 'Europe/Berlin'");
    await client.end();
  });
  afterAll(() => server.stop());

  /** Returns the rows that a viewer's data source gets. */
  async function rowsOf(text: string): Promise<Record<string, unknown>[]> {
    const client = await connectTo(server, "reports");
    try {
      return (await client.query<Record<string, unknown>>(text)).rows;
    } finally {
      await client.end();
    }
  }

  const dashboards = dashboardFiles.map(readDashboard);
  const queries = (choice: (typeof CHOICES)[number]) =>
    dashboards.flatMap((dashboard) => postgresQueries(dashboard, choice));

  it.each(queries(CHOICES[0]))("$place", async ({ text }) => {
    expect(await rowsOf(text)).not.toEqual([]);
  });

  it("give the same rows for all customers as for a list of their names", async () => {
    const named = await Promise.all(queries(CHOICES[0]).map(({ text }) => rowsOf(text)));
    expect(await Promise.all(queries("all").map(({ text }) => rowsOf(text)))).toEqual(named);
    // No query lists all names: there may be more of them than a query can hold.
    for (const { text } of queries("all")) expect(text).not.toContain("'alice'");
  });

  it("give days that begin at midnight UTC, whatever the server's time zone", async () => {
    const withTime = queries("all").filter(({ text }) => text.includes(" AS time"));
    const times = (await Promise.all(withTime.map(({ text }) => rowsOf(text))))
      .flat()
      .map(({ time }) => (time instanceof Date ? time.toISOString() : time));
    expect(times).not.toEqual([]);
    for (const time of times) expect(time).toMatch(/T00:00:00.000Z$/);
  });

  it("offer only the customers of the chosen period", async () => {
    const offered = queries("all").filter(({ place }) => place.endsWith(": variable"));
    for (const { text } of offered) {
      const recent = text.replace(/'[^']*'(?=::date AND)/, "(now() - interval '9 days')");
      expect(await rowsOf(recent)).not.toContainEqual({ customer: "carol" });
      expect(await rowsOf(text)).toContainEqual({ customer: "carol" });
    }
    expect(offered).toHaveLength(1);
  });
});
