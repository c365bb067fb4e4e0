/** Fuzzes the segments of a journal, as they may be read from a disk. */

import { crc32 } from "node:zlib";
import type { Subject } from "@cm4all/testing/fuzz";
import type { JournalDirectory, JournalFile } from "../src/directory.ts";
import { NoRecord } from "../src/errors.ts";
import { FRAME_HEADER_SIZE } from "../src/frame.ts";
import { Journal } from "../src/journal.ts";

/** A directory in memory. Files keep all that is written. */
class Memory implements JournalDirectory {
  readonly files = new Map<string, Buffer>();

  async list(): Promise<string[]> {
    return [...this.files.keys()];
  }
  async create(name: string): Promise<JournalFile> {
    this.files.set(name, Buffer.alloc(0));
    return this.open(name);
  }
  async open(name: string): Promise<JournalFile> {
    const { files } = this;
    return {
      async write(bytes, position) {
        const old = files.get(name) ?? Buffer.alloc(0);
        const grown = Buffer.alloc(Math.max(old.length, position + bytes.length));
        old.copy(grown);
        bytes.copy(grown, position);
        files.set(name, grown);
      },
      async read(buffer, position) {
        const bytes = files.get(name) ?? Buffer.alloc(0);
        return position > bytes.length ? 0 : bytes.copy(buffer, 0, position);
      },
      async sync() {},
      async truncate(length) {
        files.set(name, (files.get(name) ?? Buffer.alloc(0)).subarray(0, length));
      },
      async close() {},
    };
  }
  reopen(name: string): Promise<JournalFile> {
    return this.open(name);
  }
  async freeBytes(): Promise<number> {
    return 0;
  }
  async rename(from: string, to: string): Promise<void> {
    const bytes = this.files.get(from);
    if (bytes === undefined) throw new Error(`no file ${from}`);
    this.files.delete(from);
    this.files.set(to, bytes);
  }
  async remove(name: string): Promise<void> {
    this.files.delete(name);
  }
  async sync(): Promise<void> {}
}

/** Corrects the checksums of frames. */
function sealed(input: Buffer): Buffer {
  const copy = Buffer.from(input);
  for (let at = 0; at + FRAME_HEADER_SIZE <= copy.length; at += 8) {
    if (copy.readUInt32LE(at) !== 0x014a_4300) continue;
    const end = at + FRAME_HEADER_SIZE + copy.readUInt32LE(at + 20);
    if (end <= copy.length) copy.writeUInt32LE(crc32(copy.subarray(at + 8, end)), at + 4);
  }
  return copy;
}

async function readJournal(segment: Buffer, name: string): Promise<void> {
  const memory = new Memory();
  memory.files.set(name, segment);
  const journal = await Journal.open(memory);
  const numbers: number[] = [];
  await journal.visit((entry) => {
    if (entry.kind === "record") numbers.push(entry.number);
  });
  for (const number of numbers.slice(0, 10))
    await journal.read(number).catch((error: unknown) => {
      if (!(error instanceof NoRecord)) throw error;
    });
  // Whatever the segment contains, a record can be appended, and is there at the next start.
  const number = await journal.append(Buffer.from("new"));
  await journal.close();
  const again = await Journal.open(memory);
  const payload = await again.read(number);
  await again.close();
  if (payload.toString() !== "new") throw new Error("the new record is lost");
}

export const subject: Subject = {
  name: "journal",
  tokens: [
    Buffer.from([0, 0x43, 0x4a, 1]),
    ...[1, 2, 3].map((kind) => Buffer.from([kind, 0, 0, 0])),
    ...['{"version":1,"sequence":', "}", Buffer.alloc(8), Buffer.alloc(8, 0xff)],
  ],
  read: async (input) => {
    for (const bytes of [input, sealed(input)]) await readJournal(bytes, SEGMENT);
  },
};

const SEGMENT = "00000001.journal";
