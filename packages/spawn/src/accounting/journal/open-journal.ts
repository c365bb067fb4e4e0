/** Opens the journal on the disk. */
import { statfs } from "node:fs/promises";
import { DEFAULT_OPTIONS, DiskDirectory, Journal, tryLockJournal } from "@cm4all/journal";
import type { JournalConfig } from "../../config/accounting.ts";

/** File systems that forget, by the type that statfs(2) tells. */
const FORGETFUL = new Map([
  [0x01021994, "tmpfs"],
  [0x858458f6, "ramfs"],
  [0x794c7630, "overlay"],
]);

/** A journal that is ours until it is closed. */
export interface OpenJournal {
  readonly journal: Journal;
  /** The name of a file system that forgets, or may: then a restart of the host, or container, loses records. */
  readonly forgetful: string | undefined;
  /** Closes the journal and unlocks its directory. */
  close(): Promise<void>;
}

/**
 * Opens the journal in a directory, which is made if it is missing.
 * @throws Error if another process has it; Node's system errors; SyscallError
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
