/** Lists the records in the daemon's journal, as an administrator does. */
import { sh } from "./shell.ts";

export interface ListedRecord {
  readonly number: number;
  readonly state: string;
  readonly path: string;
  readonly reason?: string;
}

/** Returns the records that wait in the journal. */
export function listRecords(): ListedRecord[] {
  return JSON.parse(sh("cm4all-spawn accounting list --json")) as ListedRecord[];
}
