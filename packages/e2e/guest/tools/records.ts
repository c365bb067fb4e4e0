/** What the daemon's journal holds, as an administrator asks for it. */
import { sh } from "./shell.ts";

export interface ListedRecord {
  readonly number: number;
  readonly state: string;
  readonly path: string;
  readonly reason?: string;
}

export function listRecords(): ListedRecord[] {
  return JSON.parse(sh("cm4all-spawn accounting list --json")) as ListedRecord[];
}
