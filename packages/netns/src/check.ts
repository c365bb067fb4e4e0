/** The command `check`: shows the steps of `up`, or all mistakes. Changes nothing. */

import { CommandFailure, EX_CANTCREAT, EX_TEMPFAIL } from "@cm4all/command";
import { errorText, RtnetlinkSocket } from "@cm4all/linux";
import { checkName } from "./claim.ts";
import { findExisting } from "./existing.ts";
import { asFailure, requireRoot } from "./failures.ts";
import { planUp, type UpRequest } from "./plan.ts";
import { describeStep } from "./plan-text.ts";
import { peekRecord, recordOwner } from "./record.ts";
import { rehearse } from "./rehearse.ts";
import { findResolver, hostNames, type PreparedUp, prepareUp, type UpOptions } from "./request.ts";
import { needsReservation, reserve } from "./shared.ts";

/**
 * Returns the lines to print.
 * @throws CommandFailure with all mistakes, and with the exit status that `up` would have
 */
export async function check(name: string, options: UpOptions): Promise<string[]> {
  checkName(name);
  requireRoot();
  using host = new RtnetlinkSocket();
  const prepared = await prepareUp(name, options, host);
  const all = [...prepared.problems];
  const record = peekRecord(name);
  const lines: string[] = [];
  const busy = record?.state === "complete" ? undefined : recordOwner(name);
  if (busy === undefined) {
    const { remains, problem } = findExisting(name, host, record, hostNames(prepared.request));
    using _namespace = remains.namespace;
    if (problem !== undefined) all.push(new CommandFailure(problem, EX_CANTCREAT));
    if (remains.attached || record !== undefined)
      lines.push("remove what an unfinished up or down has left behind");
  } else {
    all.push(new CommandFailure(`process ${busy} is at work on ${name} now`, EX_TEMPFAIL));
  }
  if (all.length === 0) {
    const request = fillIn(prepared, host);
    const steps = planUp(request);
    all.push(...(await rehearse(request, steps)));
    lines.push(...steps.map((step) => describeStep(step, name)));
  }
  const [first] = all;
  if (first !== undefined)
    throw new CommandFailure(all.map(errorText).join("\n"), first.exitStatus);
  return [...lines, ...prepared.warnings.map((warning) => `warning: ${warning}`)];
}

/**
 * Replaces "auto" with addresses from networks that are free now, and with the host's resolver.
 * Other namespaces may take these networks before `up` does.
 * @throws CommandFailure
 */
function fillIn({ request, pools }: PreparedUp, host: RtnetlinkSocket): UpRequest {
  const { name, description } = request;
  if (description === undefined) return request;
  try {
    const reserved = needsReservation(description)
      ? reserve(name, description, pools, host).description
      : description;
    return { ...request, description: findResolver(reserved) };
  } catch (error) {
    throw asFailure(error);
  }
}
