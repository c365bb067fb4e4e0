/** Keeps many connections to a stream socket open, from a process that misbehaves. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { promisify } from "node:util";

/** `{ path }` or `{ host, port }`, as for net.connect(). */
export type StreamAddress =
  | { readonly path: string }
  | { readonly host: string; readonly port: number };

/** The ways in which a client keeps a connection open, each with its code. */
export const BEHAVIOURS = {
  "says nothing": "",
  "sends a byte now and then":
    "socket.write('GET /'); timer = setInterval(() => socket.write('a'), 1000)",
  // Two requests at once: the second does not wait for the answer to the first.
  "never reads": "socket.pause().write('GET /metrics HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n'.repeat(2))",
  "shuts down its side": "socket.end()",
} as const;

export type Behaviour = keyof typeof BEHAVIOURS;

export interface CrowdOptions {
  readonly address: StreamAddress;
  readonly behaviour: Behaviour;
  readonly count: number;
  /** True if each connection that the server closes is replaced by another. */
  readonly reconnects: boolean;
  /** A command that runs the process, for example as another user or in other namespaces. */
  readonly wrapper?: readonly string[];
}

function program({ address, behaviour, count, reconnects }: CrowdOptions): string {
  return `
    let connected = 0;
    function open() {
      const socket = require("node:net").connect({
        ...${JSON.stringify(address)},
        allowHalfOpen: true,
      });
      let timer;
      socket.once("connect", () => {
        if (++connected === ${count}) console.log("all");
        ${BEHAVIOURS[behaviour]};
      });
      socket.on("error", () => {});
      socket.once("end", () => socket.destroy());
      socket.once("close", () => clearInterval(timer));
      socket.once("close", () => { if (${reconnects}) setTimeout(open, 5000 * Math.random()); });
      if (${behaviour !== "never reads"}) socket.resume();
    }
    setInterval(() => {}, 1000);
    for (let i = 0; i < ${count}; i++) open();`;
}

function command(wrapper: readonly string[], script: string): [string, string[]] {
  const [first = "", ...rest] = [...wrapper, process.execPath, "-e", script];
  return [first, rest];
}

/** A process with its connections. The caller ends it with `end`. */
export class Crowd {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  /** Starts the process, and waits until it has made all connections. */
  static async start(options: CrowdOptions): Promise<Crowd> {
    const [file, args] = command(options.wrapper ?? [], program(options));
    const child = spawn(file, args, { stdio: ["ignore", "pipe", "inherit"] });
    const failed = once(child, "exit").then(() => {
      throw new Error("the crowd has ended by itself");
    });
    await Promise.race([once(child.stdout, "data"), failed]);
    failed.catch(() => {});
    return new Crowd(child);
  }

  async end(): Promise<void> {
    const ended = once(this.#child, "exit");
    if (this.#child.kill("SIGKILL")) await ended;
  }
}

/**
 * Fetches `/metrics` in a process of its own, which `wrapper` runs.
 * @throws Error if this fails, or takes half a minute
 */
export async function scrape(
  address: StreamAddress,
  wrapper: readonly string[] = [],
): Promise<{ status: number; text: string }> {
  const where = "path" in address ? { socketPath: address.path } : address;
  const script = `
    require("node:http").get({...${JSON.stringify(where)}, path: "/metrics"}, (response) => {
      let text = "";
      response.on("data", (chunk) => { text += chunk; });
      response.on("end", () => console.log(JSON.stringify({ status: response.statusCode, text })));
    });`;
  const { stdout } = await promisify(execFile)(...command(wrapper, script), { timeout: 30_000 });
  return JSON.parse(stdout);
}
