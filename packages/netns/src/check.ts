/** The command `check`: what `up` would do, and what is wrong. Changes nothing. */
import { CommandFailure, EX_CANTCREAT, EX_TEMPFAIL } from "@cm4all/command";
import { isErrno, RtnetlinkSocket } from "@cm4all/linux";
import { findExisting } from "./existing.ts";
import { messageOf, requireRoot } from "./failures.ts";
import { describeStep, planUp } from "./plan.ts";
import { type NamespaceRecord, peekRecord } from "./record.ts";
import { prepareUp, type UpOptions } from "./request.ts";
import { checkName } from "./up.ts";

/**
 * The lines to print.
 * @throws CommandFailure with everything that is wrong, and the status that `up` would end with
 */
export async function check(name: string, options: UpOptions): Promise<string[]> {
  checkName(name);
  requireRoot();
  const { request, problems } = await prepareUp(name, options);
  const all = [...problems];
  const record = peekRecord(name);
  const busy = workingProcess(record);
  let remains = "";
  if (busy === undefined) {
    using host = new RtnetlinkSocket();
    const existing = findExisting(name, host, record);
    using _namespace = existing.remains.namespace;
    if (existing.problem !== undefined)
      all.push(new CommandFailure(existing.problem, EX_CANTCREAT));
    const { attached, linkIndex } = existing.remains;
    if (attached || linkIndex !== undefined)
      remains = "remove what an unfinished up or down has left";
  } else {
    all.push(new CommandFailure(`process ${busy} is at work on ${name} now`, EX_TEMPFAIL));
  }
  const [first] = all;
  if (first !== undefined)
    throw new CommandFailure(all.map(messageOf).join("\n"), first.exitStatus);
  const steps = planUp(request).map((step) => describeStep(step, name));
  return remains === "" ? steps : [remains, ...steps];
}

/** The process that has begun to make or to remove the namespace and is still there. */
function workingProcess(record: NamespaceRecord | undefined): number | undefined {
  if (record === undefined || record.state === "complete") return undefined;
  try {
    process.kill(record.pid, 0);
    return record.pid;
  } catch (error) {
    if (isErrno(error, "ESRCH")) return undefined;
    throw error;
  }
}
