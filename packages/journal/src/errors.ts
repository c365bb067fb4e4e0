/** The failures of a journal that a caller has to distinguish. */

/** A record could not be written: the caller keeps it and tries again later. */
export class JournalError extends Error {
  override readonly name: string = "JournalError";
}

/** The journal has reached its size limit. */
export class JournalFull extends JournalError {
  override readonly name = "JournalFull";
}

/** The journal was closed before the record was on the disk. */
export class JournalClosed extends JournalError {
  override readonly name = "JournalClosed";
}

/** The requested record is not in the journal, or is damaged. */
export class NoRecord extends Error {
  override readonly name = "NoRecord";
}
