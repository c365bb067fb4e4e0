/** The programs that are measured and those that measure. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";

/** The package's directory: the bundle is in `dist`. */
const root = join(__dirname, "..");

const DAEMON = join(root, "../spawn/dist/cm4all-spawn.js");

/** Compiles a client written in C and gives its path. */
export function compile(name: "nsbench" | "floor" | "reapbench"): string {
  const output = join(root, "dist", name);
  mkdirSync(join(root, "dist"), { recursive: true });
  execFileSync("gcc", ["-O2", "-w", "-o", output, join(root, "c", `${name}.c`), "-lpthread"]);
  return output;
}

/** A server that runs until it is disposed of. */
export interface RunningServer extends AsyncDisposable {
  readonly address: string;
  readonly pid: number;
}

/** The daemon, with the socket of its administrators. */
export interface RunningDaemon extends RunningServer {
  readonly program: string;
  readonly control: string;
}

function serverOf(child: ChildProcess, address: string): RunningServer {
  if (child.pid === undefined) throw new Error("the server was not started");
  return {
    address,
    pid: child.pid,
    [Symbol.asyncDispose]: async () => {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
    },
  };
}

/** The daemon, listening under a name of its own. */
export async function startDaemon(): Promise<RunningDaemon> {
  const address = `@cm4all-spawn-bench-${process.pid}`;
  const control = `/run/cm4all-spawn-bench-${process.pid}.sock`;
  const options = [
    "--listen",
    address,
    "--control",
    control,
    "--config",
    "/dev/null",
    "--no-reaper",
  ];
  const child = spawn(process.execPath, [DAEMON, ...options], {
    stdio: ["ignore", "inherit", "pipe"],
  });
  let log = "";
  for await (const chunk of child.stderr) {
    log += chunk;
    if (log.includes("listening on")) break;
  }
  if (!log.includes("listening on")) throw new Error(`the daemon did not start:\n${log}`);
  return { ...serverOf(child, address), program: DAEMON, control };
}

/** The floor: a server in C that does nothing but receive and send descriptors. */
export async function startFloor(): Promise<RunningServer> {
  const address = `@cm4all-spawn-floor-${process.pid}`;
  const child = spawn(compile("floor"), [address], { stdio: "inherit" });
  await new Promise((resolve) => setTimeout(resolve, 200));
  return serverOf(child, address);
}
