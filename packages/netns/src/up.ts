/** The commands `up` and `down`. */
import { CommandFailure, EX_CANTCREAT, EX_OSERR, EX_TEMPFAIL, EX_USAGE } from "@cm4all/command";
import { RtnetlinkSocket } from "@cm4all/linux";
import { type Executor, execute, UndoFailure, undoAll } from "./execute.ts";
import { findExisting } from "./existing.ts";
import { asFailure, messageOf, requireRoot } from "./failures.ts";
import { type Holdings, tryGetLink, undoOne } from "./holdings.ts";
import { Interruption } from "./interruption.ts";
import { Kernel } from "./kernel.ts";
import { nameProblem } from "./name.ts";
import { namespaceFile } from "./namespace.ts";
import { planDown, planEverythingUndone, planUp } from "./plan.ts";
import { RecordFile } from "./record.ts";
import { prepareUp, type UpOptions } from "./request.ts";

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
  const { request, problems } = await prepareUp(name, options);
  const [first] = problems;
  if (first !== undefined)
    throw new CommandFailure(problems.map(messageOf).join("\n"), first.exitStatus);
  using interruption = new Interruption();
  using record = lockRecord(name);
  using host = new RtnetlinkSocket();
  replaceRemains(name, host, record);
  using kernel = new Kernel(name, host, record, interruption);
  try {
    await execute(planUp(request), wrap(kernel), () => interruption.check());
  } catch (error) {
    // What could not be undone stays recorded, for the next `up` or `down`.
    if (error instanceof UndoFailure) throw undoneInPart(error);
    record.remove();
    throw undone(error);
  }
  kernel.complete();
}

/** Removes what is left of an earlier one. @throws CommandFailure where the name is taken */
function replaceRemains(name: string, host: RtnetlinkSocket, record: RecordFile): void {
  const known = record.read();
  const { remains, problem } = findExisting(name, host, known);
  using _namespace = remains.namespace;
  if (problem !== undefined) {
    if (known === undefined) record.remove();
    throw new CommandFailure(problem, EX_CANTCREAT);
  }
  // Processes were to go on after a `down`, but those of a script that was cut short end.
  const undos = known?.state === "unfinished" ? planEverythingUndone : planDown;
  const problems = undoAll(undos, (undo) => undoOne(remains, undo));
  if (problems.length > 0)
    throw new CommandFailure(
      `what is left of an earlier ${name} cannot be removed:\n${problems.map(messageOf).join("\n")}`,
      EX_OSERR,
    );
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
  const lines = [...problems.map((problem) => `cannot undo: ${messageOf(problem)}`)];
  return new CommandFailure([...lines, messageOf(failure)].join("\n"), status, { cause });
}

/**
 * Deletes the link and the namespace, whoever made them, as far as they are there.
 * Processes in the namespace go on without a network. @throws CommandFailure
 */
export function down(name: string): void {
  checkName(name);
  requireRoot();
  using record = lockRecord(name);
  // Cut short, it leaves something that the next `up` may replace.
  const known = record.read();
  if (known?.state === "complete") record.write({ ...known, state: "removing", pid: process.pid });
  using host = new RtnetlinkSocket();
  const link = tryGetLink(host, name);
  if (link !== undefined && link.kind !== "veth")
    console.error(`the network interface ${name} is no veth: it stays`);
  const attached = namespaceFile(name) !== undefined;
  const linkIndex = link?.kind === "veth" ? link.index : undefined;
  const holdings: Holdings = { name, host, attached, linkIndex };
  const problems = undoAll(planDown, (undo) => undoOne(holdings, undo));
  if (problems.length > 0)
    throw new CommandFailure(problems.map(messageOf).join("\n"), EX_OSERR, { cause: problems[0] });
  record.remove();
}
