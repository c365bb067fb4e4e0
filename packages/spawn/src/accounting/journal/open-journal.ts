/** Opens the journal on the disk. */
import { statfs } from "node:fs/promises";
import { DEFAULT_OPTIONS, DiskDirectory, Journal, tryLockJournal } from "@cm4all/journal";
import type { JournalConfig } from "../../config/accounting.ts";

/** File systems whose files may be lost at a restart, by their type. @see statfs(2) */
const FORGETFUL = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
  [0x794c7630, "overlay"],
]);

/** An open journal with its lock. */
export interface OpenJournal {
  readonly journal: Journal;
  /**
   * The type of the journal's file system, if files there may be lost at a restart of the host or
   * container; otherwise undefined.
   */
  readonly forgetful: string | undefined;
  /** Closes the journal and unlocks its directory. */
  close(): Promise<void>;
}

/**
 * Locks and opens the journal in a directory, which is created if it is missing. The caller
 * closes the journal.
 * @throws Error if another process has the journal; Node's system errors; SyscallError
 */
export async function openJournal({ directory, limitBytes }: JournalConfig): Promise<OpenJournal> {
  const disk = new DiskDirectory(directory);
  await disk.make();
  const lock = tryLockJournal(directory);
  if (lock === undefined) throw new Error("another process has it: is another daemon running?");
  try {
    const { type } = await statfs(directory);
    const journal = await Journal.open(disk, { ...DEFAULT_OPTIONS, limitBytes });
    const close = () => journal.close().finally(() => lock.close());
    return { journal, forgetful: FORGETFUL.get(type), close };
  } catch (error) {
    lock.close();
    throw error;
  }
}
