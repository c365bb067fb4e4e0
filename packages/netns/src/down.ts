/**
 * The command `down`. It loads nothing that only `up` needs, because loading takes most of the
 * command's time.
 */
import { CommandFailure, didYouMean, EX_OSERR } from "@cm4all/command";
import { errorText, RtnetlinkSocket } from "@cm4all/linux";
import { checkName, keepRecord, lockRecord } from "./claim.ts";
import { undoAll } from "./execute.ts";
import { findForDown } from "./existing.ts";
import { requireRoot } from "./failures.ts";
import { tryGetLink } from "./holdings.ts";
import { namespaceNames } from "./namespace.ts";
import { planDown, undoPlainVeth } from "./plan.ts";
import { undoOne } from "./undo.ts";

/**
 * Removes whatever is left of what `up` or ip(8) has made. Processes in the namespace keep running,
 * without a network.
 * @throws CommandFailure
 */
export function down(name: string): void {
  checkName(name);
  requireRoot();
  using record = lockRecord(name);
  const found = record.read();
  // The state "removing" allows the next `up` to replace what is left if this process is killed.
  // The record must not become longer, because `down` has to work even if the file system is full:
  // it then overwrites the record in place.
  const known = found?.state === "complete" ? ({ ...found, state: "removing" } as const) : found;
  if (known !== undefined && known !== found) record.write(known);
  using host = new RtnetlinkSocket();
  const { holdings, warning } = findForDown(name, host, known);
  using _namespace = holdings.namespace;
  keepRecord(holdings, record, known);
  if (warning !== undefined) console.error(warning);
  if (known === undefined && !holdings.attached && tryGetLink(host, name) === undefined) {
    // It is not a failure if there is nothing to remove, but a name that is similar to an existing
    // one is probably a mistake.
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
