/** Commands that need no running daemon, for authors of scripts. */
import { realpathSync } from "node:fs";
import { resolve } from "node:path";
import {
  type CgroupRecord,
  encodeRecord,
  isSnapshot,
  tryFindCgroup2,
  tryParseRecord,
} from "@cm4all/cgroup";
import {
  CommandFailure,
  EX_CONFIG,
  EX_DATAERR,
  EX_NOINPUT,
  printable,
  printableLines,
} from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { readRegularFile } from "@cm4all/command/regular-file";
import { tellLostOutput } from "@cm4all/command/run";
import {
  type ByteString,
  bufferOf,
  bytesOfLatin1,
  errorText,
  isErrno,
  joinPath,
  latin1Of,
  statusOf,
  textOf,
} from "@cm4all/linux";
import { checkScript, ScriptHost } from "@cm4all/lua";
import type { Config } from "../../config.ts";
import { CgroupFiles } from "../../reaper/cgroup-files.ts";
import { OpenRoot } from "../../reaper/open-root.ts";
import { formatReport } from "../../reaper/report.ts";
import {
  type ChosenScript,
  chooseScript,
  explainUnusable,
  hostOptions,
  userWarning,
} from "../script/script.ts";
import { addressRemark, describeScopes } from "./check-host.ts";
import { findBadPlaces } from "./check-places.ts";

function cgroupRoot({ reaper }: Config): ByteString {
  const root = reaper.cgroupRoot ?? tryFindCgroup2();
  if (root === undefined)
    throw new CommandFailure("cgroup2 is not mounted; see reaper.cgroup_root", EX_CONFIG);
  return root;
}

/** Checks the paths of sockets and the journal. @throws CommandFailure if one cannot be used */
export function checkPlaces(config: Config): void {
  const mistakes = findBadPlaces(config);
  if (mistakes.length > 0) throw new CommandFailure(mistakes.join("\n"), EX_CONFIG);
}

/** Prints which scopes exist on this host and, if the metrics' address is unusable, the reason. */
export async function describeHost(config: Config): Promise<void> {
  const address = await addressRemark(config.metrics.listen);
  if (address !== undefined) console.log(`metrics.listen: ${address}`);
  const { enabled, cgroupRoot = tryFindCgroup2(), scopes } = config.reaper;
  if (!enabled) console.log("the reaper is switched off: cgroups are left alone");
  else if (cgroupRoot === undefined) console.log("cgroup2 is not mounted: nothing can be reaped");
  else console.log(describeScopes(cgroupRoot, scopes));
}

/** Loads the script that the daemon would load. @throws CommandFailure if it cannot be used */
export async function checkAccounting(config: Config): Promise<void> {
  const { path, warning } = readableScript(config);
  if (warning !== undefined) console.error(printableLines(warning));
  if (path === undefined) {
    console.log("no script: cgroups are logged and deleted");
    return;
  }
  const privileges = userWarning(config.accounting);
  if (privileges !== undefined) console.error(privileges);
  const result = await checkScript(hostOptions(config.accounting, path));
  if (!result.usable)
    throw new CommandFailure(
      [explainUnusable(result.message, config.accounting), result.traceback]
        .filter(Boolean)
        .join("\n"),
      EX_CONFIG,
    );
  console.log(printableLines(result.warning ?? `${path}: no mistakes found`));
}

function readableScript(config: Config): ChosenScript {
  try {
    return chooseScript(config.accounting);
  } catch (error) {
    const reason = errorText(error);
    throw new CommandFailure(`the script cannot be read: ${reason}`, EX_CONFIG);
  }
}

/**
 * Measures a cgroup as it is now.
 * @param cgroup a full path, or a path relative to the cgroup root
 * @throws CommandFailure if the cgroup does not exist or cannot be measured
 */
export function measureCgroup(
  config: Config,
  cgroup: ByteString,
): { record: CgroupRecord; report: string | undefined } {
  const rootPath = cgroupRoot(config);
  const path = textOf(cgroup);
  const mountPoint = realpath(rootPath);
  const isFull = latin1Of(cgroup).startsWith(`${latin1Of(rootPath)}/`);
  const full = realpath(
    isFull ? cgroup : joinPath(rootPath, cgroup),
    `there is no cgroup ${path} below ${textOf(rootPath)}`,
  );
  if (!full.startsWith(`${mountPoint}/`))
    throw new CommandFailure(`${path} is not below ${textOf(rootPath)}`, EX_NOINPUT);
  const below = bytesOfLatin1(full.slice(mountPoint.length));
  const root = new OpenRoot(rootPath);
  try {
    const files = new CgroupFiles(root, (_, text) => console.error(printableLines(text)));
    const { inode } = root.withDirectory(below, statusOf);
    const measured = files.measure({ path: below, inode }, undefined);
    if (typeof measured === "string")
      throw new CommandFailure(`${path} is ${measured}`, EX_NOINPUT);
    const snapshot = { ...measured, report: 1 };
    return { record: { snapshot, xattrs: [] }, report: formatReport(printable(path), snapshot) };
  } finally {
    root.close();
  }
}

/**
 * Returns the real path in Latin-1, one character for each byte.
 * @param missing the message if the path does not exist
 * @throws CommandFailure
 */
function realpath(path: ByteString, missing?: string): string {
  try {
    // `realpathSync` itself decodes a Buffer as UTF-8.
    return realpathSync.native(bufferOf(path), "buffer").toString("latin1");
  } catch (error) {
    const text = isErrno(error, "ENOENT") ? missing : undefined;
    throw new CommandFailure(text ?? errorText(error), EX_NOINPUT);
  }
}

/** The maximum size of a file with a record; the journal has the same limit for a record. */
const MAX_RECORD_FILE = 16 * 1024 * 1024;

function readRecordFile(file: string): string {
  try {
    return readRegularFile(file, MAX_RECORD_FILE).toString();
  } catch (error) {
    throw fileFailure(`cannot read ${file}`, error);
  }
}

/**
 * Reads a record that the command `measure` printed, possibly on another host. It may have been
 * edited since. A snapshot alone, as earlier versions printed it, is read as a record without
 * attributes.
 * @throws CommandFailure if the file cannot be read or has no record
 */
export function readRecorded(file: string): CgroupRecord {
  const json = readRecordFile(file);
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new CommandFailure(`${file}: ${errorText(error)}`, EX_DATAERR, { cause: error });
  }
  if (isSnapshot(value)) return { snapshot: value, xattrs: [] };
  const record = tryParseRecord(json);
  if (record === undefined)
    throw new CommandFailure(
      `${file}: not a record of a cgroup, which has a snapshot with path, id, report and measuredMs, and xattrs`,
      EX_DATAERR,
    );
  return record;
}

/** Runs a script's handler once. @throws CommandFailure if it fails */
export async function runScript(
  config: Config,
  script: string,
  record: CgroupRecord,
): Promise<void> {
  const host = new ScriptHost(hostOptions(config.accounting, resolve(script)));
  host.on("notice", (text) => console.error(printableLines(text)));
  host.on("scriptError", (source, message) =>
    console.error(printableLines(`${source}: ${message}`)),
  );
  host.on("outputLost", (reason) => tellLostOutput("cm4all-spawn", reason));
  try {
    await new Promise<void>((ready, fail) => {
      host.once("ready", (warning) => {
        if (warning !== undefined) console.error(printableLines(warning));
        ready();
      });
      host.once("unusable", (message, traceback) =>
        fail(failure(explainUnusable(message, config.accounting), traceback)),
      );
      host.once("ended", (reason) => fail(failure(`the script host ended: ${reason}`)));
      host.start();
    });
    const outcome = await host.run([encodeRecord(record)], {
      kind: "released",
      begin: async () => {},
    });
    if (outcome.type === "failed") throw failure(outcome.message, outcome.traceback);
    if (outcome.type === "interrupted") throw failure(outcome.message);
  } finally {
    await host.stop(0);
  }
}

function failure(message: string, traceback?: string): CommandFailure {
  return new CommandFailure([message, traceback].filter(Boolean).join("\n"), EX_DATAERR);
}
