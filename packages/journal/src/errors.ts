/** Failures of a journal that its user has to distinguish. */

/** The record is not in the journal: the caller keeps it and tries again later. */
export class JournalError extends Error {
  override readonly name: string = "JournalError";
}

/** The journal holds as much as it may. */
export class JournalFull extends JournalError {
  override readonly name = "JournalFull";
}

/** The journal was closed before the record was on the disk. */
export class JournalClosed extends JournalError {
  override readonly name = "JournalClosed";
}

/** The record is not in the journal, or it is damaged. */
export class NoRecord extends Error {
  override readonly name = "NoRecord";
}
