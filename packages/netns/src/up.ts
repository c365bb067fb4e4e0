/** The commands `up` and `down`. */
import {
  CommandFailure,
  didYouMean,
  EX_CANTCREAT,
  EX_OSERR,
  EX_TEMPFAIL,
  EX_USAGE,
} from "@cm4all/command";
import { errorText, RtnetlinkSocket } from "@cm4all/linux";
import { type Executor, execute, UndoFailure, undoAll } from "./execute.ts";
import { findExisting, findForDown } from "./existing.ts";
import { asFailure, requireRoot } from "./failures.ts";
import { type Holdings, tryGetLink } from "./holdings.ts";
import { Interruption } from "./interruption.ts";
import { Kernel, type RecordBase } from "./kernel.ts";
import { nameProblem } from "./name.ts";
import { namespaceNames } from "./namespace.ts";
import { planDown, planUndo, planUp, type UpRequest, undoPlainVeth } from "./plan.ts";
import { RecordFile, readBootId, withSharedLock } from "./record.ts";
import type { NamespaceRecord } from "./record-text.ts";
import { findResolver, hostNames, type PreparedUp, prepareUp, type UpOptions } from "./request.ts";
import { needsReservation, reserve } from "./shared.ts";
import { undoOne } from "./undo.ts";

/** @throws CommandFailure for a name that cannot be one */
export function checkName(name: string): void {
  const problem = nameProblem(name);
  if (problem !== undefined)
    throw new CommandFailure(`${JSON.stringify(name)}: ${problem}`, EX_USAGE);
}

/** @throws CommandFailure where another process works on the same name */
function lockRecord(name: string): RecordFile {
  const record = RecordFile.tryLock(name);
  if (record !== undefined) return record;
  throw new CommandFailure(`another process is at work on ${name} now`, EX_TEMPFAIL);
}

/**
 * Makes the namespace `name`, all of it or nothing.
 * @param wrap puts something between the plan and the kernel; for tests
 * @throws CommandFailure
 */
export async function up(
  name: string,
  options: UpOptions,
  wrap: (kernel: Executor) => Executor = (kernel) => kernel,
): Promise<void> {
  checkName(name);
  requireRoot();
  using host = new RtnetlinkSocket();
  const prepared = await prepareUp(name, options, host);
  const [first] = prepared.problems;
  if (first !== undefined)
    throw new CommandFailure(prepared.problems.map(errorText).join("\n"), first.exitStatus);
  for (const warning of prepared.warnings) console.error(`warning: ${warning}`);
  using interruption = new Interruption();
  using record = lockRecord(name);
  replaceRemains(prepared.request, host, record);
  const { request, base } = takeShares(prepared, host, record);
  const steps = planUp(request);
  const undo = planUndo(steps);
  using kernel = new Kernel({ name, host, record, base: { ...base, undo }, interruption });
  try {
    await execute(steps, wrap(kernel), () => interruption.check());
  } catch (error) {
    // What could not be undone stays recorded, for the next `up` or `down`.
    if (error instanceof UndoFailure) throw undoneInPart(error);
    record.remove();
    throw undone(error);
  }
  kernel.complete();
}

/** Takes what namespaces share, and records that. @throws CommandFailure */
function takeShares(
  { request, pools }: PreparedUp,
  host: RtnetlinkSocket,
  record: RecordFile,
): { request: UpRequest; base: RecordBase } {
  const { name, description } = request;
  const base = { bootId: readBootId(), undo: [], pool: [], publish: [] };
  if (description === undefined) return { request, base };
  try {
    if (!needsReservation(description))
      return { request: { ...request, description: findResolver(description) }, base };
    return withSharedLock(() => {
      const { pool, publish, ...reserved } = reserve(name, description, pools, host);
      const known = findResolver(reserved.description);
      const nothing = { state: "unfinished", cookie: "", links: [], settings: [] } as const;
      record.write({ ...base, ...nothing, pid: process.pid, pool, publish });
      return { request: { ...request, description: known }, base: { ...base, pool, publish } };
    });
  } catch (error) {
    record.remove();
    throw asFailure(error);
  }
}

/** Removes what is left of an earlier one. @throws CommandFailure where the name is taken */
function replaceRemains(request: UpRequest, host: RtnetlinkSocket, record: RecordFile): void {
  const { name } = request;
  const known = record.read();
  const { remains, problem } = findExisting(name, host, known, hostNames(request));
  using _namespace = remains.namespace;
  keepRecord(remains, record, known);
  if (problem !== undefined) {
    if (known === undefined) record.remove();
    throw new CommandFailure(problem, EX_CANTCREAT);
  }
  if (known === undefined) return;
  // Processes were to go on after a `down`, but those of a script that was cut short end.
  const undos = known.state === "unfinished" ? known.undo : planDown(known.undo);
  const problems = undoAll(undos, (undo) => undoOne(remains, undo));
  if (problems.length > 0)
    throw new CommandFailure(
      `what is left of an earlier ${name} cannot be removed:\n${problems.map(errorText).join("\n")}`,
      EX_OSERR,
    );
}

/** What is undone is no longer recorded. */
function keepRecord(
  holdings: Holdings,
  record: RecordFile,
  known: NamespaceRecord | undefined,
): void {
  holdings.lock = record.lock;
  holdings.save = () => {
    if (known !== undefined) record.write({ ...known, settings: holdings.settings });
  };
}

function undone(error: unknown): unknown {
  const failure = asFailure(error);
  return failure instanceof CommandFailure
    ? new CommandFailure(`${failure.message}; all of it is undone`, failure.exitStatus, {
        cause: error,
      })
    : failure;
}

function undoneInPart({ problems, cause }: UndoFailure): CommandFailure {
  const failure = asFailure(cause);
  const status = failure instanceof CommandFailure ? failure.exitStatus : EX_OSERR;
  const lines = [...problems.map((problem) => `cannot undo: ${errorText(problem)}`)];
  return new CommandFailure([...lines, errorText(failure)].join("\n"), status, { cause });
}

/**
 * Removes what `up` made, and what ip(8) made, as far as it is there. Processes in the
 * namespace go on without a network. @throws CommandFailure
 */
export function down(name: string): void {
  checkName(name);
  requireRoot();
  using record = lockRecord(name);
  const found = record.read();
  // Cut short, it leaves something that the next `up` may replace.
  const known =
    found?.state === "complete"
      ? ({ ...found, state: "removing", pid: process.pid } as const)
      : found;
  if (known !== undefined && known !== found) record.write(known);
  using host = new RtnetlinkSocket();
  const { holdings, warning } = findForDown(name, host, known);
  using _namespace = holdings.namespace;
  keepRecord(holdings, record, known);
  if (warning !== undefined) console.error(warning);
  if (known === undefined && !holdings.attached && tryGetLink(host, name) === undefined) {
    // What is gone already is no failure, but a name like one that is there is a mistake.
    const suggestion = didYouMean(name, namespaceNames());
    if (suggestion !== "") console.error(`there is no namespace ${name}${suggestion}`);
  }
  const undos = planDown(known?.undo ?? undoPlainVeth);
  const problems = undoAll(undos, (undo) => undoOne(holdings, undo));
  if (problems.length > 0) {
    record.removeIfEmpty();
    throw new CommandFailure(problems.map(errorText).join("\n"), EX_OSERR, { cause: problems[0] });
  }
  record.remove();
}
