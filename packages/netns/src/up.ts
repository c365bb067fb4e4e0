/** The command `up`. */
import { CommandFailure, EX_CANTCREAT, EX_OSERR } from "@cm4all/command";
import { errorText, RtnetlinkSocket, readBootId } from "@cm4all/linux";
import { checkName, keepRecord, lockRecord } from "./claim.ts";
import { type Executor, execute, UndoFailure, undoAll } from "./execute.ts";
import { findExisting } from "./existing.ts";
import { asFailure, requireRoot } from "./failures.ts";
import { Interruption } from "./interruption.ts";
import { Kernel, type RecordBase } from "./kernel.ts";
import { planDown, planUndo, planUp, type UpRequest } from "./plan.ts";
import { type RecordFile, withSharedLock } from "./record.ts";
import { findResolver, hostNames, type PreparedUp, prepareUp, type UpOptions } from "./request.ts";
import { needsReservation, reserve } from "./shared.ts";
import { undoOne } from "./undo.ts";

/**
 * Makes the namespace `name`, completely or not at all.
 * @param wrap wraps the executor that carries out the plan; for tests
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
    // Parts that could not be undone stay recorded, for the next `up` or `down`.
    if (error instanceof UndoFailure) throw undoneInPart(error);
    record.remove();
    throw undone(error);
  }
  kernel.complete();
}

/**
 * Takes the networks from the pool and the ports of the host, and records them.
 * @throws CommandFailure
 */
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

/**
 * Removes the remains of an earlier namespace of that name.
 * @throws CommandFailure if the name is taken, or if something cannot be removed
 */
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
  // If the earlier `up` did not finish, the processes in its namespace are ended; otherwise they
  // keep running.
  const undos = known.state === "unfinished" ? known.undo : planDown(known.undo);
  const problems = undoAll(undos, (undo) => undoOne(remains, undo));
  if (problems.length > 0)
    throw new CommandFailure(
      `what is left of an earlier ${name} cannot be removed:\n${problems.map(errorText).join("\n")}`,
      EX_OSERR,
    );
}

function undone(error: unknown): unknown {
  const failure = asFailure(error);
  return failure instanceof CommandFailure
    ? new CommandFailure(`${failure.message}; everything has been undone`, failure.exitStatus, {
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
