/** Tests `cm4all-spawn report` with a real database, and its output in Chromium. */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  cpSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import {
  missing,
  type Postgres,
  unpackedFonts,
  unpackedLibraries,
  unpackedProgram,
} from "@cm4all/testing";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DATABASE_FAILED, formatDay } from "../src/report/options.ts";
import { BUNDLE } from "./support/daemon.ts";
import { connectTo, startFleetDatabase } from "./support/fleet-database.ts";

const ago = (days: number) => formatDay(new Date(Date.now() - days * 86_400_000));

describe.skipIf(missing("root", "postgres") !== undefined)("report", () => {
  let server: Postgres;
  let directory: string;
  let file: string;
  beforeAll(async () => {
    server = await startFleetDatabase({
      hba: ["local all postgres,reports trust", "local all all peer"],
    });
    const client = await connectTo(server);
    // By default, a process of the user nobody makes root's reports. The server admits only that
    // user to the role nobody.
    await client.query("CREATE ROLE nobody LOGIN; GRANT fleet_reader TO nobody");
    await client.end();
    directory = mkdtempSync(join(tmpdir(), "report-"));
    file = join(directory, "report.html");
  });
  afterAll(async () => {
    await server.stop();
    rmSync(directory, { recursive: true });
  });

  /** Runs `cm4all-spawn report` on the test's database. */
  function report(args: string[], env: NodeJS.ProcessEnv = {}) {
    const { host, port } = server;
    const command = ["report", "--database", "postgres", ...args];
    return spawnSync(process.execPath, [BUNDLE, ...command], {
      encoding: "utf8",
      env: { PATH: process.env["PATH"], PGHOST: host, PGPORT: String(port), ...env },
    });
  }

  it("is made by a process that does not run as root, and written to a file with mode 0600", () => {
    const { stderr, status } = report(["--html", file, "--from", ago(50), "--to", ago(0)]);
    expect(stderr).toBe("");
    expect(status).toBe(0);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(file, "utf8")).toContain("alice");
  });

  it("shows one customer, on standard output, and uses the given role", () => {
    const args = ["--html", "-", "--customer", "carol", "--from", ago(50)];
    const { stdout, status } = report(args, { PGUSER: "reports" });
    expect(status).toBe(0);
    expect(stdout).toContain("<h1>Usage of carol</h1>");
    expect(stdout).not.toContain("alice");
  });

  it("lists up to --top customers, and the others in one row", () => {
    const args = ["--html", "-", "--from", ago(50), "--top"];
    const rows = (top: string) =>
      [...report([...args, top]).stdout.matchAll(/<th scope="row">((?!\d{4}-)[^<]*)</g)].map(
        ([, name]) => name,
      );
    expect(rows("1")).toEqual(["alice", "2 others", "All"]);
    expect(rows("3")).toEqual(["alice", expect.stringContaining("bob"), "carol", "All"]);
    const html = report([...args, "1"]).stdout;
    expect(html).toMatch(
      /2 others<\/th><td>0:01:05<\/td><td>976\.6 KiB<\/td><td>4\.0 KiB<\/td><td>7</,
    );
    expect(html).toMatch(/All<\/th><td>3:01:05<\/td>/);
    for (const wrong of ["0", "1.5", "100001", "x"])
      expect(report([...args, wrong])).toMatchObject({ status: 64 });
  });

  it("comes from a process in which Node opens no debugger", async () => {
    const silent = createServer().listen(join(directory, ".s.PGSQL.5432"));
    await once(silent, "listening");
    chmodSync(directory, 0o755);
    chmodSync(join(directory, ".s.PGSQL.5432"), 0o777);
    const command = ["report", "--html", "-", "--database", "postgres"];
    const child = spawn(process.execPath, [BUNDLE, ...command], {
      env: { PATH: process.env["PATH"], PGHOST: directory },
      stdio: "ignore",
    });
    try {
      const [connection] = await once(silent, "connection");
      connection.on("error", () => undefined);
      const reader = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
      expect(readFileSync(`/proc/${reader}/cmdline`, "utf8")).toContain("--inspect-port=192.0.2.1");
      connection.destroy();
    } finally {
      child.kill();
      silent.close();
      rmSync(join(directory, ".s.PGSQL.5432"), { force: true });
    }
  });

  it("writes nothing to the database", async () => {
    const client = await connectTo(server);
    const written = async () =>
      (
        await client.query(
          "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) AS n FROM pg_stat_user_tables",
        )
      ).rows;
    const before = await written();
    expect(report(["--html", "-"]).status).toBe(0);
    expect(await written()).toEqual(before);
    await client.end();
  });

  it.each([
    [["--html", "-", "--from", "2026-02-30"], {}, 64, "It is not a day such as 2026-01-31"],
    [["--html", "-", "--from", "2026-02-02", "--to", "2026-02-01"], {}, 64, "is after 2026-02-01"],
    [[], {}, 64, "--html"],
    [["--html", "-"], { PGUSER: "postgre" }, 69, "cannot read the bills in postgres: "],
    [["--html", "-"], { PGHOST: "/nowhere" }, 69, "ENOENT /nowhere/.s.PGSQL"],
    [["--html", "-", "--user", "nobodies"], {}, 78, "there is no user nobodies"],
    [["--html", "/nowhere/x.html"], {}, 73, "cannot write the report /nowhere/x.html: ENOENT"],
  ])("%j %j ends with status %d and reports %j", (args, env, status, text) => {
    const result = report(args, env);
    expect(result.stderr).toContain(text);
    expect(result.stderr).not.toMatch(/\n +at /);
    expect(result.status).toBe(status);
  });

  it.each(["host=db password=secret", "mysql://user:secret@db/bills"])(
    "refuses %s as the name of a database, and does not print it",
    (database) => {
      const { stderr, status } = report(["--html", "-", "--database", database]);
      expect(stderr).toContain("--database takes the name of a database, or a URI");
      expect(stderr).not.toContain("secret");
      expect(status).toBe(64);
    },
  );

  it("is made by a process that gets only the necessary part of root's environment", () => {
    const hook = join(directory, "hook.cjs");
    writeFileSync(hook, "");
    // If NODE_OPTIONS were passed on, Node could not load the hook as another user.
    chmodSync(directory, 0o700);
    const { stderr, status } = report(["--html", "-"], { NODE_OPTIONS: `--require ${hook}` });
    expect(stderr).toBe("");
    expect(status).toBe(0);
  });

  it("shows days in the same format, whatever DateStyle is", async () => {
    const client = await connectTo(server);
    const args = ["--html", "-", "--from", ago(2), "--to", ago(0)];
    const { stdout: usual } = report(args, { PGUSER: "reports" });
    await client.query("ALTER ROLE reports SET DateStyle = 'SQL, DMY'");
    const { stdout } = report(args, { PGUSER: "reports" });
    await client.query("ALTER ROLE reports RESET DateStyle");
    await client.end();
    const withoutTime = (html: string) => html.replace(/Made [^.]*/, "");
    expect(withoutTime(stdout)).toBe(withoutTime(usual));
  });

  // The test mounts a separate /dev, so that a defect cannot damage the machine's.
  it.each(['"$@" /dev/stdout | cat', '"$@" /dev/stdout >"$OUT"; cat "$OUT"'])(
    "writes to devices, and does not replace them: %s",
    (script) => {
      const { host, port } = server;
      const links = "ln -s /proc/self/fd/1 /dev/stdout; mknod -m 666 /dev/null c 1 3";
      const kept = "test -c /dev/null; test -h /dev/stdout";
      const commands = `set -e; mount -t tmpfs none /dev; ${links}; ${script}; "$@" /dev/null; ${kept}`;
      const command = [BUNDLE, "report", "--database", "postgres", "--from", ago(50), "--html"];
      const { stdout, stderr, status } = spawnSync(
        "unshare",
        ["-m", "sh", "-c", commands, "sh", process.execPath, ...command],
        {
          encoding: "utf8",
          env: {
            PATH: process.env["PATH"],
            PGHOST: host,
            PGPORT: String(port),
            OUT: join(directory, "out.html"),
          },
        },
      );
      expect(stderr).toBe("");
      expect(status).toBe(0);
      expect(stdout.match(/<h1>/g)).toHaveLength(1);
    },
  );

  it("leaves the old file if the new one cannot be written", () => {
    const old = join(directory, "old.html");
    writeFileSync(old, "old");
    const { host, port } = server;
    const command = [BUNDLE, "report", "--database", "postgres", "--html", old];
    const { stderr, status } = spawnSync(
      "sh",
      ["-c", 'ulimit -f 1; exec "$@"', "sh", process.execPath, ...command],
      {
        encoding: "utf8",
        env: { PATH: process.env["PATH"], PGHOST: host, PGPORT: String(port) },
      },
    );
    expect(stderr).toContain(`cannot write the report ${old}: EFBIG`);
    expect(status).toBe(73);
    expect(readFileSync(old, "utf8")).toBe("old");
  });

  it.each([34, 64, 9])("leaves the old file if its process is killed by signal %d", (signal) => {
    const programs = join(directory, `dist-${signal}`);
    cpSync(dirname(BUNDLE), programs, { recursive: true });
    const kill = `process.stdout.write("<html>", () => process.kill(process.pid, ${signal}));`;
    writeFileSync(join(programs, "cm4all-spawn-report.js"), `${kill} setTimeout(() => {}, 9999);`);
    chmodSync(directory, 0o755);
    const old = join(directory, "old.html");
    writeFileSync(old, "old");
    const { stderr, status } = spawnSync(
      process.execPath,
      [join(programs, basename(BUNDLE)), "report", "--html", old],
      { encoding: "utf8" },
    );
    expect(stderr).toMatch(/cannot make the report: its process ended (before|with SIGKILL)/);
    expect(status).toBe(70);
    expect(readFileSync(old, "utf8")).toBe("old");
  });

  it.each([
    ["{", 1],
    [JSON.stringify({ from: ago(1), to: ago(0), database: "none" }), DATABASE_FAILED],
  ])("the program that reads %j ends with status %d and one line", (input, wanted) => {
    const program = join(dirname(BUNDLE), "cm4all-spawn-report.js");
    const env = { PGHOST: "/nowhere" };
    const { stderr, status } = spawnSync(process.execPath, [program], {
      encoding: "utf8",
      env,
      input,
    });
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(status).toBe(wanted);
  });

  it("is not part of the daemon's bundle", () => {
    const inputs = readFileSync(join(dirname(BUNDLE), "cm4all-spawn.js.inputs.json"), "utf8");
    expect(inputs).toContain("src/report/options.ts");
    expect(inputs).not.toMatch(/report\/(main|html|database)\.ts/);
  });

  describe.skipIf(missing("chromium") !== undefined)("in Chromium", () => {
    let browser: Browser;
    beforeAll(async () => {
      const program = unpackedProgram("chromium");
      browser = await chromium.launch({
        executablePath: program,
        chromiumSandbox: false,
        env: {
          PATH: "/usr/bin:/bin",
          HOME: directory,
          LD_LIBRARY_PATH: unpackedLibraries(program),
          ...unpackedFonts(program),
        },
      });
      report(["--html", file, "--from", ago(41), "--to", ago(0)]);
    }, 400_000);
    afterAll(() => browser?.close());

    it("shows tables with captions and headers, without errors or requests", async () => {
      const page = await browser.newPage({ viewport: { width: 1200, height: 1000 } });
      const said: string[] = [];
      page.on("console", (message) => said.push(message.text()));
      page.on("pageerror", (error) => said.push(error.message));
      page.on("request", (request) => said.push(request.url()));
      await page.goto(`file://${file}`);
      expect(said).toEqual([`file://${file}`]);
      const customers = page.getByRole("table", { name: "Those with the most CPU time first" });
      expect(await customers.getByRole("rowheader").allTextContents()).toEqual([
        "alice",
        "bob & <b>sons</b>",
        "carol",
        "All",
      ]);
      expect(await customers.getByRole("row").nth(1).getByRole("cell").allTextContents()).toEqual([
        "3:00:00",
        "2.8 GiB",
        "5.6 GiB",
        "7",
        "3",
        "6",
      ]);
      expect(await customers.getByRole("columnheader").count()).toBe(7);
      const days = page.getByRole("table", { name: "What was used on each day" });
      expect(await days.getByRole("row").count()).toBe(43);
      const limits = page.getByRole("table", { name: /^Days on which the kernel killed/ });
      expect(await limits.getByRole("row").allTextContents()).toHaveLength(2);
      // All columns are on the screen.
      const cut = await page
        .locator(".scroll")
        .evaluateAll((all) => all.filter((each) => each.scrollWidth > each.clientWidth).length);
      expect(cut).toBe(0);
      // Dates are not broken into two lines.
      const lines = days.getByRole("rowheader").first();
      expect((await lines.boundingBox())?.height).toBeLessThan(40);
      // The bar of the largest figure is as wide as its cell; the bar of a small figure is short.
      const bars = customers.locator("tbody tr td:nth-of-type(1) rect");
      const widths = await bars.evaluateAll((all) =>
        all.map((each) => Math.round(each.getBoundingClientRect().width)),
      );
      expect(widths[0]).toBeGreaterThan(100);
      expect(widths[1]).toBeLessThan(3);
      const shot = process.env["REPORT_SCREENSHOT"];
      if (shot !== undefined) await page.screenshot({ path: shot, fullPage: true });
      await page.close();
    });

    it("fits on sheets of paper", async () => {
      const page = await browser.newPage();
      await page.goto(`file://${file}`);
      const pdf = join(directory, "report.pdf");
      await page.pdf({ path: pdf, preferCSSPageSize: true });
      await page.emulateMedia({ media: "print" });
      await page.setViewportSize({ width: 1030, height: 700 });
      // A4 landscape without its margins, in CSS pixels.
      expect(await page.locator("html").evaluate((html) => html.scrollWidth)).toBeLessThanOrEqual(
        1030,
      );
      expect(readFileSync(pdf).subarray(0, 5).toString()).toBe("%PDF-");
      if (process.env["REPORT_PDF"] !== undefined)
        execFileSync("cp", [pdf, process.env["REPORT_PDF"]]);
      await page.close();
    });

    it("fits on a small screen", async () => {
      const page = await browser.newPage({ viewport: { width: 360, height: 700 } });
      await page.goto(`file://${file}`);
      expect(await page.locator("html").evaluate((html) => html.scrollWidth)).toBe(360);
      await page.close();
    });
  });
});
