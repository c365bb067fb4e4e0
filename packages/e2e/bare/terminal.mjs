// @ts-check
/**
 * A newcomer's terminal: runs command lines in the checkout, presses Ctrl-C, and stands in for a
 * second terminal.
 */
import { spawn, spawnSync } from "node:child_process";
import { createWriteStream, readdirSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

/** The words that `npm start` prints last, before it waits. */
const AT_WORK = "The daemon runs until Ctrl-C";

const START_LIMIT_MS = 600_000;

export class Terminal {
  /**
   * @param {string} directory path of the checkout, as the newcomer names it
   * @param {string} output    a directory for logs
   */
  constructor(directory, output) {
    this.directory = directory;
    this.output = output;
  }

  /**
   * Starts a command line in a process group of its own, as a shell at a terminal does.
   * @param {string} line @param {string} log the name of a file for the output
   */
  start(line, log) {
    const child = spawn("sh", ["-c", `exec ${line}`], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: this.directory,
      detached: true,
      env: { ...process.env, PWD: this.directory, NO_COLOR: "1" },
    });
    const file = createWriteStream(`${this.output}/${log}`);
    const running = {
      /** The last characters of the output. */
      printed: "",
      pid: child.pid,
      hasEnded: false,
      /** @type {Promise<number | string>} */
      ended: new Promise((resolve) =>
        child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown")),
      ),
      /**
       * Sends a signal to all processes of the group, as Ctrl-C does.
       * @param {NodeJS.Signals} signal
       */
      kill(signal) {
        if (child.pid !== undefined && !running.hasEnded) process.kill(-child.pid, signal);
      },
    };
    child.once("close", () => {
      running.hasEnded = true;
    });
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding("utf8").on("data", (text) => {
        running.printed = (running.printed + text).slice(-100_000);
        file.write(text);
      });
    return running;
  }

  /**
   * Runs a command line to its end.
   * @param {string} line @param {string} log @param {number} limitSeconds
   * @returns its exit status, or the signal that ended it, and the end of its output
   */
  async run(line, log, limitSeconds) {
    const running = this.start(line, log);
    const timer = setTimeout(() => running.kill("SIGKILL"), limitSeconds * 1000);
    const status = await running.ended;
    clearTimeout(timer);
    return { status, printed: running.printed };
  }

  /**
   * Does the same as `run`, but throws an Error unless the exit status is 0.
   * @param {string} line @param {string} log @param {number} limitSeconds
   */
  async mustRun(line, log, limitSeconds) {
    const { status, printed } = await this.run(line, log, limitSeconds);
    if (status !== 0) throw new Error(`ended with ${status}: ${lastLines(printed)}`);
  }

  /**
   * Runs `npm start` until it prints its table, makes a request from another terminal, and
   * presses Ctrl-C.
   * @param {string} line @param {string} log
   */
  async mustStart(line, log) {
    const before = countProcesses();
    const directories = ourDirectories();
    const running = this.start(line, log);
    try {
      await untilPrinted(running, AT_WORK);
      if (!/^ {2}cgroup .*\n(?:.*\n)*? {2}shop /m.test(running.printed))
        throw new Error("npm start printed no table");
      this.#request(running.pid);
    } finally {
      running.kill("SIGINT");
    }
    const status = await Promise.race([running.ended, delay(60_000, "nothing", { ref: false })]);
    if (status === "nothing") running.kill("SIGKILL");
    // npm's own exit status after Ctrl-C depends on its version.
    if (![0, 130, "SIGINT"].includes(status))
      throw new Error(`after Ctrl-C it ended with ${status}`);
    const end = Date.now() + 10_000;
    while (countProcesses() > before && Date.now() < end) await delay(100);
    const left = countProcesses() - before;
    if (left > 0) throw new Error(`processes left: ${left}`);
    const remaining = ourDirectories().filter((name) => !directories.includes(name));
    if (remaining.length > 0) throw new Error(`left in /run: ${remaining.join(", ")}`);
  }

  /**
   * Makes a request in the network namespace of `pid`, where the daemon's socket is.
   * @param {number | undefined} pid
   */
  #request(pid) {
    const client = ["node", "packages/client/dist/cm4all-spawn-client.js", "run", "foo"];
    const args = [...client, "--ipc", "--pid", "--", "sh", "-c", 'echo "I am $$"'];
    const { stdout, stderr } = spawnSync("nsenter", [`--net=/proc/${pid}/ns/net`, ...args], {
      cwd: this.directory,
      encoding: "utf8",
    });
    if (!/^I am \d\n$/.test(stdout)) throw new Error(`the client printed ${stdout}${stderr}`);
  }
}

/** @param {ReturnType<Terminal["start"]>} running @param {string} words */
async function untilPrinted(running, words) {
  const end = Date.now() + START_LIMIT_MS;
  while (!running.printed.includes(words)) {
    if (running.hasEnded)
      throw new Error(`ended with ${await running.ended}: ${lastLines(running.printed)}`);
    if (Date.now() > end) throw new Error(`not at work: ${lastLines(running.printed)}`);
    await delay(100);
  }
}

/** @param {string} text */
const lastLines = (text) => text.trimEnd().split("\n").slice(-6).join("\n");

/** Returns the names of the suite's directories in /run, including those of installed packages. */
const ourDirectories = () => readdirSync("/run").filter((name) => name.startsWith("cm4all-"));

/** Returns the number of processes on this machine. */
function countProcesses() {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).length;
}
