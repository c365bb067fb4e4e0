/**
 * A machine of its own for a test: new network, mount and PID namespaces, an empty /run, and an
 * /etc whose changes are lost at the end. When the sandbox is disposed of, every process in it is
 * killed, and the namespaces disappear with the last process.
 */
import { type ChildProcess, type SpawnSyncReturns, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { dirname } from "node:path";

/** Includes Node's directory, because Node need not come from Debian's package. */
const PATH = `/usr/sbin:/usr/bin:/sbin:/bin:${dirname(process.execPath)}`;

/** For commands: without variables that slow down Node's start or differ between machines. */
const environment = { PATH, LC_ALL: "C.UTF-8" };

/** The timeout of run(). A command that hangs keeps running until the sandbox is disposed of. */
const RUN_TIMEOUT_MS = 20_000;

const setUp = `
set -e
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -p /run/overlay/upper /run/overlay/work
mount -t overlay -o lowerdir=/etc,upperdir=/run/overlay/upper,workdir=/run/overlay/work overlay /etc
mkdir -p /etc/cm4all/spawn/netns/setup.d
ip link set dev lo up
# The shell reaps orphans, as an init does, until its standard input ends.
exec 3<&0
cat <&3 &
until [ "$(cat /proc/$!/comm)" = cat ]; do :; done
echo ready
wait`;

export type Result = Pick<SpawnSyncReturns<string>, "status" | "signal" | "stdout" | "stderr">;

export class Sandbox {
  readonly #keeper: ChildProcess;
  readonly #pid: number;

  private constructor(keeper: ChildProcess, pid: number) {
    this.#keeper = keeper;
    this.#pid = pid;
  }

  static async make(): Promise<Sandbox> {
    const args = ["-nmpf", "--mount-proc", "--propagation=private", "--kill-child"];
    const keeper = spawn("unshare", [...args, "sh", "-c", setUp], {
      env: environment,
      stdio: ["pipe", "pipe", "inherit"],
    });
    // The keeper ends when its standard input is closed, even if that is because the test's process
    // was killed.
    const [output] = await once(keeper.stdout ?? keeper, "data");
    if (String(output) !== "ready\n") throw new Error(`the sandbox says ${output}`);
    const children = readFileSync(`/proc/${keeper.pid}/task/${keeper.pid}/children`, "utf8");
    return new Sandbox(keeper, Number(children));
  }

  #enter(command: readonly string[]): string[] {
    return [`--target=${this.#pid}`, "--net", "--mount", "--pid", "--wd=/", "--", ...command];
  }

  /** Runs a command and waits until it has ended. */
  run(...command: readonly string[]): Result {
    return spawnSync("nsenter", this.#enter(command), {
      env: environment,
      encoding: "utf8",
      timeout: RUN_TIMEOUT_MS,
      killSignal: "SIGKILL",
    });
  }

  /** Returns the output of a command. @throws Error if it fails */
  output(...command: readonly string[]): string {
    const { status, stdout, stderr } = this.run(...command);
    if (status !== 0) throw new Error(`${command.join(" ")}: status ${status}: ${stderr}`);
    return stdout;
  }

  /** Starts a command; its output can be read while it runs. */
  start(...command: readonly string[]): Started {
    return new Started(spawn("nsenter", this.#enter(command), { env: environment }));
  }

  write(path: string, text: string, mode = "644"): void {
    const script = 'mkdir -p "$(dirname "$1")" && printf %s "$2" > "$1" && chmod "$3" "$1"';
    this.output("sh", "-c", script, "sh", path, text, mode);
  }

  /** Writes the set-up script of a namespace. */
  writeScript(name: string, text: string, mode = "755"): void {
    this.write(`/etc/cm4all/spawn/netns/setup.d/${name}`, text, mode);
  }

  writeDescription(name: string, text: string): void {
    this.write(`/etc/cm4all/spawn/netns/${name}.toml`, text);
  }

  /**
   * Returns the links, files and mounts that `up` makes and `down` removes, and all processes, for
   * comparison.
   */
  state(): string {
    const directories = "/run/netns /run/cm4all-spawn-netns /etc/netns";
    // Only the names of links: their state may still change, because the kernel finds out later
    // whether a link has a carrier.
    const things = `ip -br link | cut -d" " -f1; ls -A ${directories} 2>&1; grep nsfs /proc/self/mountinfo; true`;
    const processes = this.output("ps", "-e", "-o", "stat=,args=").split("\n");
    const alive = processes.filter((line) => !line.startsWith("Z"));
    return this.output("sh", "-c", things) + alive.map((line) => line.slice(5)).join("\n");
  }

  async dispose(): Promise<void> {
    const ended = once(this.#keeper, "exit");
    this.#keeper.stdin?.end();
    await ended;
  }
}

/** A command that was started in a sandbox. */
export class Started {
  readonly #process: ChildProcess;
  readonly #ended: Promise<unknown[]>;
  #stdout = "";
  #stderr = "";

  constructor(process: ChildProcess) {
    this.#process = process;
    this.#ended = once(process, "close");
    process.stdout?.on("data", (data) => {
      this.#stdout += data;
    });
    process.stderr?.on("data", (data) => {
      this.#stderr += data;
    });
  }

  /** Waits until the command's output matches, and returns the output. */
  async printed(pattern: RegExp): Promise<string> {
    while (!pattern.test(this.#stdout)) {
      if (this.#hasEnded) throw new Error(`it ended: ${this.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    return this.#stdout;
  }

  /** Closes the command's standard input. */
  endInput(): void {
    this.#process.stdin?.end();
  }

  /** Waits until the command has ended; its output may still be open. */
  async exited(): Promise<void> {
    if (!this.#hasEnded) await once(this.#process, "exit");
  }

  /** True if the command has ended, by itself or by a signal. */
  get #hasEnded(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null;
  }

  /** Waits until the command and all its output have ended. */
  async end(): Promise<Result> {
    const [status, signal] = await this.#ended;
    return {
      status: status as number | null,
      signal: signal as NodeJS.Signals | null,
      stdout: this.#stdout,
      stderr: this.#stderr,
    };
  }
}
