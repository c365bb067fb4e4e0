/** Writes two records of several pages, alternately and forever, to the record file of "web". */
import { RecordFile } from "../src/record.ts";
import type { NamespaceRecord } from "../src/record-text.ts";

/** So many that a record takes up several pages of memory. */
const LINKS = 300;

function record(state: NamespaceRecord["state"]): NamespaceRecord {
  const links = Array.from({ length: LINKS }, (_, index) => ({ name: `net${index}-${state}` }));
  const base = { pid: 1, bootId: "", cookie: "", undo: [], settings: [], pool: [], publish: [] };
  return { ...base, state, links };
}

const file = RecordFile.tryLock("web");
if (file === undefined) throw new Error("the record is locked");
const records = [record("unfinished"), record("complete")];
for (const each of records) file.write(each);
console.log("ready");
for (;;) for (const each of records) file.write(each);
