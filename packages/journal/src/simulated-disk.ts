/**
 * A disk for tests, which loses unsynced data when the power fails. Afterwards it has a random
 * part of the data that was written since the last sync, in units of a sector, and a random
 * choice of the creations, renamings and removals of files since then.
 */
import type { JournalDirectory, JournalFile } from "./directory.ts";

const SECTOR_SIZE = 512;

/** Returns a number from 0 up to but not including 1. */
export type Random = () => number;

class Failure extends Error {
  readonly code: string;

  constructor(code: string) {
    super(`simulated ${code}`);
    this.code = code;
  }
}

class Inode {
  /** The contents that are certainly on the disk. */
  durable = Buffer.alloc(0);
  /** The contents that a reader sees. */
  cached = Buffer.alloc(0);

  write(bytes: Buffer, position: number): void {
    const size = Math.max(this.cached.length, position + bytes.length);
    const grown = Buffer.alloc(size);
    this.cached.copy(grown);
    bytes.copy(grown, position);
    this.cached = grown;
  }

  /**
   * Writes a part of the bytes, as a failed write may do. If the bytes do not extend the file, the
   * part ends at the end of a sector: the kernel copies whole pages.
   */
  writePart(bytes: Buffer, position: number, share: number): void {
    const end = position + Math.floor(share * bytes.length);
    const isInside = position + bytes.length <= this.cached.length;
    const last = isInside ? end - (end % SECTOR_SIZE) : end;
    if (last > position) this.write(bytes.subarray(0, last - position), position);
  }

  sync(): void {
    this.durable = Buffer.from(this.cached);
  }

  /** Gives each unsynced sector either its old or its new contents. */
  loseUnsynced(random: Random): void {
    const size = random() < 0.5 ? this.cached.length : this.durable.length;
    const after = Buffer.alloc(size);
    this.durable.copy(after);
    for (let start = 0; start < size; start += SECTOR_SIZE)
      if (random() < 0.5 && start < this.cached.length)
        this.cached.copy(after, start, start, start + SECTOR_SIZE);
    this.durable = after;
    this.cached = Buffer.from(after);
  }
}

type NameChange = (names: Map<string, Inode>) => void;

export class SimulatedDisk implements JournalDirectory {
  #durable = new Map<string, Inode>();
  #names = new Map<string, Inode>();
  #changes: NameChange[] = [];
  readonly #random: Random;
  /** Called before each call. Returns the code of the error with which that call fails, if any. */
  fail: (call: string, name?: string) => string | undefined = () => undefined;
  /** The capacity of the disk. */
  capacityBytes = Number.POSITIVE_INFINITY;
  /** A range of bytes in a file; reads that touch it fail. */
  unreadable: { readonly name: string; readonly from: number; readonly to: number } | undefined;
  /** After a power failure no call succeeds until `reboot`. */
  #isDown = false;

  constructor(random: Random) {
    this.#random = random;
  }

  async #call(call: string, name?: string): Promise<void> {
    // As with a real disk, other work runs in the meantime.
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#isDown) throw new Failure("EIO");
    const code = this.fail(call, name);
    if (code !== undefined) throw new Failure(code);
  }

  #change(change: NameChange): void {
    change(this.#names);
    this.#changes.push(change);
  }

  /** Loses a part of the unsynced data. Calls that are under way fail. */
  powerFailure(): void {
    this.#isDown = true;
    for (const change of this.#changes) if (this.#random() < 0.5) change(this.#durable);
    this.#changes = [];
    this.#names = new Map(this.#durable);
    for (const inode of new Set(this.#names.values())) inode.loseUnsynced(this.#random);
  }

  /** Acts as if the daemon had been killed: the kernel keeps all that was written. */
  kill(): void {
    this.#isDown = true;
  }

  get isDown(): boolean {
    return this.#isDown;
  }

  reboot(): void {
    this.#isDown = false;
  }

  /** Returns the files, for tests that damage them. */
  files(): ReadonlyMap<string, { cached: Buffer; durable: Buffer }> {
    return this.#names;
  }

  async list(): Promise<string[]> {
    await this.#call("list");
    return [...this.#names.keys()];
  }

  async create(name: string): Promise<JournalFile> {
    await this.#call("create", name);
    if (this.#names.has(name)) throw new Failure("EEXIST");
    const inode = new Inode();
    this.#change((names) => names.set(name, inode));
    return this.#file(name, inode);
  }

  async open(name: string): Promise<JournalFile> {
    await this.#call("open", name);
    const inode = this.#names.get(name);
    if (inode === undefined) throw new Failure("ENOENT");
    return this.#file(name, inode);
  }

  async reopen(name: string): Promise<JournalFile> {
    await this.#call("reopen");
    return this.open(name);
  }

  async freeBytes(): Promise<number> {
    await this.#call("statfs");
    return this.capacityBytes - this.usedBytes;
  }

  /** The space that is in use. */
  get usedBytes(): number {
    let sum = 0;
    for (const { cached } of new Set(this.#names.values())) sum += cached.length;
    return sum;
  }

  #file(name: string, inode: Inode): JournalFile {
    let isClosed = false;
    return {
      write: async (bytes, position) => {
        try {
          await this.#call("write");
        } catch (error) {
          if (!this.#isDown) inode.writePart(bytes, position, this.#random());
          throw error;
        }
        const grownBytes = Math.max(0, position + bytes.length - inode.cached.length);
        const fits =
          bytes.length - Math.max(0, grownBytes - Math.max(0, this.capacityBytes - this.usedBytes));
        inode.write(bytes.subarray(0, Math.max(0, fits)), position);
        if (fits < bytes.length) throw new Failure("ENOSPC");
        // The power can fail before the bytes are on the disk.
        await this.#call("sync");
        inode.sync();
      },
      read: async (buffer, position) => {
        // As with Node's FileHandle, a read that has begun before the file is closed succeeds.
        if (isClosed) throw new Failure("EBADF");
        await this.#call("read");
        const { unreadable } = this;
        const isBad = unreadable?.name === name && position < unreadable.to;
        if (isBad && position + buffer.length > unreadable.from) throw new Failure("EIO");
        return position < inode.cached.length ? inode.cached.copy(buffer, 0, position) : 0;
      },
      sync: async () => {
        await this.#call("sync");
        inode.sync();
      },
      truncate: async (length) => {
        await this.#call("truncate");
        inode.cached = Buffer.from(inode.cached.subarray(0, length));
      },
      close: async () => {
        isClosed = true;
        await new Promise((resolve) => setImmediate(resolve));
      },
    };
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#call("rename", from);
    this.#change((names) => {
      const inode = names.get(from);
      if (inode === undefined) return;
      names.delete(from);
      names.set(to, inode);
    });
  }

  async remove(name: string): Promise<void> {
    await this.#call("remove", name);
    if (!this.#names.has(name)) throw new Failure("ENOENT");
    this.#change((names) => names.delete(name));
  }

  async sync(): Promise<void> {
    await this.#call("syncDirectory");
    for (const change of this.#changes) change(this.#durable);
    this.#changes = [];
  }
}
