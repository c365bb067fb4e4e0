/**
 * `cm4all-spawn reload`. `systemctl reload` runs this command, and therefore fails if the
 * configuration has a mistake or the script cannot be used.
 */
import { CommandFailure, EX_NOPERM, EX_PROTOCOL, EX_UNAVAILABLE, EX_USAGE } from "@cm4all/command";
import { isErrno } from "@cm4all/linux";
import type { Command } from "commander";
import { type Ask, askFor, type ReloadResult } from "../control/commands.ts";
import type { ControlPlace } from "./control-place.ts";

interface ReloadOptions {
  readonly signal?: string;
}

/** Adds the subcommand `reload`. @param findPlace returns where the daemon listens for commands */
export function declareReloadCommand(
  program: Command,
  ask: Ask,
  findPlace: () => ControlPlace,
): void {
  program
    .command("reload")
    .description(
      "have the running daemon read its configuration again and call the script's function reload; " +
        "fail if the configuration has a mistake or the script cannot be used, and list changes that need a restart",
    )
    .option("--signal <pid>", "send SIGHUP to this process if the daemon cannot be asked")
    .action(async ({ signal }: ReloadOptions) => {
      const pid = signal === undefined ? undefined : parsePid(signal);
      const result = await tryReload(ask, pid, findPlace);
      if (result === undefined) return;
      const { waitsForRestart, isScriptOutdated } = result;
      console.log("reloaded the configuration");
      if (waitsForRestart.length > 0)
        console.log(`only a restart applies ${waitsForRestart.join(", ")}`);
      if (isScriptOutdated) console.log("only a restart loads the changed script");
    });
}

/**
 * Makes the daemon reload its configuration. Returns undefined if a signal was sent: the result is
 * then only in the daemon's log.
 */
async function tryReload(
  ask: Ask,
  pid: number | undefined,
  findPlace: () => ControlPlace,
): Promise<ReloadResult | undefined> {
  if (pid === undefined) return askFor(ask, "reload", {});
  const { path, mistake } = findPlace();
  if (mistake !== undefined) {
    // On SIGHUP, the daemon logs and counts the mistake.
    sendHangUp(pid);
    throw mistake;
  }
  if (path !== "")
    try {
      return await askFor(ask, "reload", {});
    } catch (error) {
      if (!knowsSignalAlone(error)) throw error;
    }
  sendHangUp(pid);
  return undefined;
}

/**
 * Returns whether the error shows that the daemon does not listen, or is of a version that reloads
 * only on SIGHUP.
 */
function knowsSignalAlone(error: unknown): boolean {
  if (!(error instanceof CommandFailure)) return false;
  const { exitStatus, message } = error;
  return (
    exitStatus === EX_UNAVAILABLE ||
    (exitStatus === EX_PROTOCOL && message.startsWith("unknown command"))
  );
}

function sendHangUp(pid: number): void {
  try {
    process.kill(pid, "SIGHUP");
  } catch (error) {
    if (isErrno(error, "ESRCH"))
      throw new CommandFailure(`there is no process ${pid}`, EX_UNAVAILABLE, { cause: error });
    if (isErrno(error, "EPERM"))
      throw new CommandFailure(`only root may signal process ${pid}`, EX_NOPERM, { cause: error });
    throw error;
  }
}

function parsePid(text: string): number {
  const pid = Number(text);
  // 0 and negative numbers stand for several processes, and 1 is the init. @see kill(2)
  if (Number.isInteger(pid) && pid > 1) return pid;
  throw new CommandFailure(`${text} is not a pid`, EX_USAGE);
}
