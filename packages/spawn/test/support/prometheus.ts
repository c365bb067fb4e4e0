/** Runs Debian's Prometheus with the files of examples/prometheus, on a port of its own. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { freePort, unpackedProgram } from "@cm4all/testing";
import { until } from "./daemon.ts";

export const EXAMPLES = fileURLToPath(new URL("../../../../examples/prometheus", import.meta.url));

const RULES = ["cm4all-spawn.records.yml", "cm4all-spawn.alerts.yml"] as const;

/** A series in the answer to an instant query. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Replaces like String.replace(). @throws Error if `before` does not occur in the text */
function replaced(text: string, before: RegExp, after: string): string {
  if (text.search(before) < 0) throw new Error(`there is no ${before}`);
  return text.replace(before, after);
}

/** A running server. The caller ends it with `stop`. */
export class TestPrometheus {
  readonly #directory = mkdtempSync(join(tmpdir(), "prometheus-"));
  readonly #targets = new Map<string, string>();
  readonly #url: string;
  readonly #process: ChildProcess;
  #log = "";

  private constructor(port: number) {
    this.#url = `http://127.0.0.1:${port}`;
    this.#writeTargets();
    this.#copy("prometheus.yml", (text) => {
      const often = replaced(text, /_interval: 30s/g, "_interval: 1s");
      return replaced(
        often,
        / {4}static_configs:\n {6}- targets:\n {10}- .*\n/,
        "    file_sd_configs: [{ files: [targets.json], refresh_interval: 1s }]\n",
      );
    });
    this.#copy("cm4all-spawn.records.yml", (text) => text);
    // The copy differs only in the time for which a fault has to last before its alert fires.
    this.#copy("cm4all-spawn.alerts.yml", (text) => replaced(text, /for: \d+m$/gm, "for: 2s"));
    const options = [
      `--config.file=${join(this.#directory, "prometheus.yml")}`,
      `--storage.tsdb.path=${join(this.#directory, "data")}`,
      `--web.listen-address=127.0.0.1:${port}`,
      "--log.level=warn",
    ];
    const command = [unpackedProgram("prometheus"), ...options];
    // The kernel kills the server when the process of the test ends.
    this.#process = spawn("setpriv", ["--pdeathsig", "KILL", ...command], {
      stdio: ["ignore", "ignore", "pipe"],
      env: { ...process.env, GOMAXPROCS: "1" },
    });
    this.#process.stderr?.setEncoding("utf8").on("data", (text: string) => {
      this.#log += text;
    });
  }

  static async start(): Promise<TestPrometheus> {
    const server = new TestPrometheus(await freePort());
    await until(
      async () => {
        if (server.#process.exitCode !== null) throw new Error(`it ended:\n${server.#log}`);
        return await server.#isReady();
      },
      "Prometheus is ready",
      60_000,
    );
    return server;
  }

  /** Scrapes an address as the instance `name` from now on. */
  watch(name: string, address: string): void {
    this.#targets.set(name, address);
    this.#writeTargets();
  }

  /** Stops scraping an instance. */
  forget(name: string): void {
    this.#targets.delete(name);
    this.#writeTargets();
  }

  /** Returns the result of an instant query. @throws Error with the message of Prometheus */
  async query(expression: string): Promise<Sample[]> {
    const data = await this.#ask(`query?query=${encodeURIComponent(expression)}`);
    const { result } = data as { result: { metric: Record<string, string>; value: string[] }[] };
    return result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** Returns the alerts that are pending or firing, with their labels and annotations. */
  async alerts(): Promise<
    { labels: Record<string, string>; annotations: Record<string, string> }[]
  > {
    const data = await this.#ask("alerts");
    return (data as { alerts: [] }).alerts;
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode === null) {
      const ended = once(this.#process, "exit");
      this.#process.kill("SIGTERM");
      await ended;
    }
    rmSync(this.#directory, { recursive: true });
  }

  async #isReady(): Promise<boolean> {
    try {
      return (await fetch(`${this.#url}/-/ready`)).ok;
    } catch {
      // The server does not listen yet.
      return false;
    }
  }

  async #ask(path: string): Promise<unknown> {
    const response = await fetch(`${this.#url}/api/v1/${path}`);
    const answer = (await response.json()) as { status: string; error?: string; data: unknown };
    if (answer.status !== "success") throw new Error(answer.error);
    return answer.data;
  }

  #copy(name: "prometheus.yml" | (typeof RULES)[number], change: (text: string) => string): void {
    const text = readFileSync(join(EXAMPLES, name), "utf8");
    writeFileSync(join(this.#directory, name), change(text));
  }

  #writeTargets(): void {
    const groups = [...this.#targets].map(([instance, address]) => ({
      targets: [address],
      labels: { instance },
    }));
    const path = join(this.#directory, "targets.json");
    writeFileSync(`${path}.new`, JSON.stringify(groups));
    renameSync(`${path}.new`, path);
  }
}
