export { DiskDirectory, type JournalDirectory, type JournalFile } from "./directory.ts";
export { JournalClosed, JournalError, JournalFull, NoRecord } from "./errors.ts";
export { DEFAULT_OPTIONS, Journal, type JournalOptions } from "./journal.ts";
export { tryLockJournal } from "./lock.ts";
export type { Entry, ReadRecord } from "./reader.ts";
export { RecordState } from "./record-table.ts";
