import { describe, expect, it } from "vitest";
import { JournalClosed, JournalFull, NoRecord } from "./errors.ts";
import { encodeFrames } from "./frame.ts";
import { Journal } from "./journal.ts";
import { RecordState } from "./record-table.ts";
import { encodeHeader, markFrame } from "./segment.ts";
import { SimulatedDisk } from "./simulated-disk.ts";

const OPTIONS = { limitBytes: 64 * 1024 * 1024, segmentBytes: 4096, reserveBytes: 2048 };

function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

function payload(text: string): Buffer {
  return Buffer.from(JSON.stringify({ id: text, filler: "x".repeat(text.length % 7) }));
}

/** Returns the state of each record in the journal, by its id. */
async function contents(journal: Journal): Promise<Map<string, RecordState[]>> {
  const found = new Map<string, RecordState[]>();
  for (const { number, state } of [...journal.records()]) {
    const { id } = JSON.parse((await journal.read(number)).toString());
    found.set(id, [...(found.get(id) ?? []), state]);
  }
  return found;
}

describe("a journal", () => {
  it("returns the records that were appended, in their order, until they are gone", async () => {
    const disk = new SimulatedDisk(seeded(1));
    const journal = await Journal.open(disk, OPTIONS);
    const numbers = await Promise.all(
      Array.from({ length: 100 }, (_, i) => journal.append(payload(`record ${i}`))),
    );
    expect([...journal.records()].map(({ number }) => number)).toEqual(numbers);
    expect((await journal.read(numbers[7] ?? 0)).toString()).toContain('"record 7"');
    for (const number of numbers.slice(0, 99)) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    expect(journal.live).toBe(1);
    await journal.close();
    const again = await Journal.open(disk, OPTIONS);
    expect(again.damage).toEqual([]);
    expect(await contents(again)).toEqual(new Map([["record 99", [RecordState.WAITING]]]));
    await again.close();
  });

  it("frees the space of records that are gone, and keeps records that are parked", async () => {
    const disk = new SimulatedDisk(seeded(2));
    const journal = await Journal.open(disk, OPTIONS);
    const parked = await journal.append(payload("parked"));
    await journal.mark(parked, RecordState.PARKED, "because");
    for (let i = 0; i < 2000; i++) {
      const number = await journal.append(payload(`record ${i}`));
      await journal.mark(number, RecordState.BEGAN);
      await journal.mark(number, RecordState.GONE);
    }
    await journal.settle();
    expect(journal.bytes).toBeLessThan(4 * OPTIONS.segmentBytes);
    await journal.close();
    const again = await Journal.open(disk, OPTIONS);
    await again.settle();
    expect(await contents(again)).toEqual(new Map([["parked", [RecordState.PARKED]]]));
    const notes: string[] = [];
    await again.visit((entry) => {
      if (entry.kind === "mark") notes.push(entry.note);
    });
    expect(notes).toEqual(["because"]);
    await again.close();
  });

  it("rewrites nothing at startup if all records and marks are needed", async () => {
    const disk = new SimulatedDisk(seeded(3));
    const first = await Journal.open(disk, OPTIONS);
    const numbers = await Promise.all(
      Array.from({ length: 200 }, (_, i) => first.append(payload(`record ${i}`))),
    );
    for (const number of numbers) await first.mark(number, RecordState.PARKED, "because");
    await first.close();
    const calls: string[] = [];
    disk.fail = (call) => {
      calls.push(call);
      return undefined;
    };
    const again = await Journal.open(disk, OPTIONS);
    await again.settle();
    expect(again.count(RecordState.PARKED)).toBe(200);
    expect(calls.filter((call) => call === "create" || call === "rename")).toEqual([]);
    await again.close();
  });

  it.each(["write", "pause", "closing"] as const)(
    "writes a deferred mark at the next %s, and no sooner",
    async (next) => {
      const disk = new SimulatedDisk(seeded(4));
      const journal = await Journal.open(disk, OPTIONS);
      const number = await journal.append(payload("record"));
      await journal.settle();
      let writes = 0;
      disk.fail = (call) => {
        if (call === "write") writes++;
        return undefined;
      };
      const marked = journal.markLater(number, RecordState.GONE);
      expect(journal.live).toBe(0);
      await journal.settle();
      expect(writes).toBe(0);
      if (next === "write") await journal.append(payload("next"));
      if (next === "closing") await journal.close();
      await marked;
      expect(writes).toBe(1);
      await journal.close();
    },
  );

  it.each(["mark", "markLater"] as const)(
    "writes nothing after it is closed, and rejects each %s that comes while it is being closed",
    async (method) => {
      const disk = new SimulatedDisk(seeded(6));
      const journal = await Journal.open(disk, OPTIONS);
      const numbers: number[] = [];
      for (let i = 0; i < 100; i++) numbers.push(await journal.append(payload(`record ${i}`)));
      // After this, the reader has a file open, and closing it takes a turn of the event loop.
      await journal.read(numbers[0] ?? 0);
      await journal.settle();
      let isClosed = false;
      let lateCalls = 0;
      disk.fail = (call) => {
        if (isClosed) lateCalls++;
        return call === "write" ? "EIO" : undefined;
      };
      const answers: Promise<unknown>[] = [];
      const mark = (i: number) => {
        const marked = journal[method](numbers[i] ?? 0, RecordState.PARKED);
        answers.push(marked.catch((error: unknown) => error));
      };
      mark(0);
      const closing = journal.close().then(() => (isClosed = true));
      for (let i = 1; !isClosed && i < numbers.length; i++) {
        await new Promise((resolve) => setImmediate(resolve));
        mark(i);
      }
      await closing;
      for (const answer of await Promise.all(answers)) expect(answer).toBeInstanceOf(JournalClosed);
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      expect(lateCalls).toBe(0);
    },
  );

  it("tries a batch of very many marks again after a failed write", async () => {
    const disk = new SimulatedDisk(seeded(10));
    const journal = await Journal.open(disk, { ...OPTIONS, segmentBytes: 2 ** 24 });
    const number = await journal.append(payload("record"));
    await journal.settle();
    disk.fail = (call) => (call === "write" ? "EIO" : undefined);
    const marks: Promise<void>[] = [];
    // A batch holds up to 4 MiB, and each of these marks takes 32 bytes.
    for (let i = 0; i < 131_000; i++) marks.push(journal.markLater(number, RecordState.PARKED));
    await expect(journal.append(payload("refused"))).rejects.toThrow(/EIO/);
    disk.fail = () => undefined;
    await journal.append(payload("accepted"));
    await Promise.all(marks);
    expect(journal.state(number)).toBe(RecordState.PARKED);
    await journal.close();
  });

  it("goes on with nine digits after the segment number 99999999", async () => {
    const disk = new SimulatedDisk(seeded(5));
    const file = await disk.create("99999999.journal");
    await file.write(encodeHeader(99_999_999), 0);
    await file.close();
    const numbers: number[] = [];
    for (let i = 0; i < 2; i++) {
      const journal = await Journal.open(disk, OPTIONS);
      numbers.push(await journal.append(payload(`record ${i}`)));
      await journal.close();
    }
    const journal = await Journal.open(disk, OPTIONS);
    expect([...journal.records()].map(({ number }) => number)).toEqual(numbers);
    expect([...disk.files().keys()]).toContain("100000001.journal");
    await journal.close();
  });

  it("writes a mark that comes while it tidies up", async () => {
    const disk = new SimulatedDisk(seeded(9));
    let journal = await Journal.open(disk, OPTIONS);
    const kept = await journal.append(payload("kept"));
    for (let i = 0; i < 200; i++) await journal.append(payload(`record ${i}`));
    for (const { number } of [...journal.records(kept)])
      void journal.mark(number, RecordState.GONE);
    await journal.close();
    // The journal finds segments to remove.
    journal = await Journal.open(disk, OPTIONS);
    let isMarked = false;
    void journal.mark(kept, RecordState.PARKED).then(() => {
      isMarked = true;
    });
    await journal.settle();
    expect(isMarked).toBe(true);
    await journal.close();
  });

  it("refuses records beyond its limit, but still accepts marks", async () => {
    const disk = new SimulatedDisk(seeded(3));
    const limitBytes = 1024 * 1024 + 20_000;
    const journal = await Journal.open(disk, {
      limitBytes,
      segmentBytes: 4096,
      reserveBytes: 2048,
    });
    const numbers: number[] = [];
    let refusal: unknown;
    while (refusal === undefined)
      await journal.append(payload("x")).then(
        (number) => numbers.push(number),
        (error: unknown) => {
          refusal = error;
        },
      );
    expect(refusal).toBeInstanceOf(JournalFull);
    for (const number of numbers) await journal.mark(number, RecordState.GONE);
    await journal.settle();
    await journal.append(payload("y"));
    await journal.close();
  });
});

describe("a damaged journal", () => {
  /** Makes a journal of one segment with a few records, one of them gone. */
  async function made(): Promise<{ disk: SimulatedDisk; name: string; bytes: Buffer }> {
    const disk = new SimulatedDisk(seeded(4));
    const journal = await Journal.open(disk, OPTIONS);
    const numbers: number[] = [];
    for (let i = 0; i < 6; i++) numbers.push(await journal.append(payload(`record ${i}`)));
    await journal.mark(numbers[2] ?? 0, RecordState.GONE);
    await journal.close();
    const name = "00000001.journal";
    return { disk, name, bytes: Buffer.from(disk.files().get(name)?.cached ?? []) };
  }

  it("keeps whole records before the byte at which it is cut off, and can be opened", async () => {
    const { disk, name, bytes } = await made();
    let last = -1;
    for (let length = 0; length <= bytes.length; length++) {
      const file = disk.files().get(name);
      if (file === undefined) throw new Error("the file is gone");
      file.cached = Buffer.from(bytes.subarray(0, length));
      const journal = await Journal.open(disk, OPTIONS);
      const ids = [...(await contents(journal)).keys()];
      await journal.settle();
      await journal.close();
      for (const other of [...disk.files().keys()]) if (other !== name) await disk.remove(other);
      if (!disk.files().has(name)) {
        const created = await disk.create(name);
        await created.close();
      }
      expect(ids.length).toBeGreaterThanOrEqual(
        length === bytes.length ? 5 : last === 6 ? 5 : last,
      );
      last = ids.length;
    }
    expect(last).toBe(5);
  });

  it("loses at most one record when any single bit flips, and reports the damage", async () => {
    const { disk, name, bytes } = await made();
    for (let bit = 0; bit < bytes.length * 8; bit += 5) {
      const file = disk.files().get(name);
      if (file === undefined) throw new Error("the file is gone");
      file.cached = Buffer.from(bytes);
      file.cached.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
      const journal = await Journal.open(disk, OPTIONS);
      const ids = [...(await contents(journal)).keys()];
      // A flipped bit in the padding between frames is no damage.
      if (ids.length < 5) expect(journal.damage.length).toBe(1);
      expect(ids.length).toBeGreaterThanOrEqual(4);
      await journal.close();
    }
  });

  it("writes no note after a zero byte, because both together could look like a frame", () => {
    expect(markFrame(1, RecordState.WAITING, "note").payload).toEqual(Buffer.from([0]));
  });

  it("finds no frame in the note of a damaged mark", async () => {
    const disk = new SimulatedDisk(seeded(11));
    let journal = await Journal.open(disk, OPTIONS);
    const other = await journal.append(payload("other"));
    const own = await journal.append(payload("own"));
    // A frame that is valid UTF-8, at a place in the note where a frame may begin.
    let text: string | undefined;
    for (let i = 0; text === undefined; i++) {
      const frame = encodeFrames([markFrame(other, RecordState.GONE, String(i))]);
      if (frame.every((byte) => byte < 0x80)) text = frame.toString("latin1");
    }
    const note = `failed:${text}`;
    await journal.mark(own, RecordState.PARKED, note);
    expect(await journal.notes([own])).toEqual(new Map([[own, note.replaceAll("\0", "\uFFFD")]]));
    await journal.close();
    const file = disk.files().get("00000001.journal");
    file?.cached.write("F", file.cached.indexOf("failed:"));
    journal = await Journal.open(disk, OPTIONS);
    expect(journal.damage).toHaveLength(1);
    expect(journal.state(other)).toBe(RecordState.WAITING);
    await journal.close();
  });

  it("leaves a file of rubbish alone, and uses the rest", async () => {
    const { disk } = await made();
    const rubbish = await disk.create("00000007.journal");
    await rubbish.write(Buffer.from("this is no journal, and it is longer than a header"), 0);
    const journal = await Journal.open(disk, OPTIONS);
    expect((await contents(journal)).size).toBe(5);
    const number = await journal.append(payload("new"));
    expect(Math.floor(number / 2 ** 24)).toBe(8);
    await journal.close();
  });
});

/**
 * Simulates four runs of a daemon. Each appends and marks records, may get a disk error from any
 * call, and is ended by a kill, a power failure or a regular stop. Checks at each start what has to
 * be true of the journal.
 */
async function torture(seed: number): Promise<void> {
  const random = seeded(seed);
  const disk = new SimulatedDisk(random);
  const faultRate = random() < 0.5 ? 0 : 0.05;
  const isSmall = random() < 0.3;
  /** The states that each confirmed record may have. */
  const promised = new Map<string, { states: Set<RecordState> }>();
  /** Records that were not confirmed: each may be there once, or not at all. */
  const doubtful = new Set<string>();
  let nextId = 0;

  for (let life = 0; life < 4; life++) {
    disk.fail = () => undefined;
    disk.capacityBytes = Number.POSITIVE_INFINITY;
    const journal = await Journal.open(disk, {
      limitBytes: 1e9,
      segmentBytes: 1024,
      reserveBytes: 1024,
    });
    // The journal must report no damage, or the daemon would park records.
    for (const { file, what } of journal.damage) throw new Error(`${file}: ${what}`);
    const found = await contents(journal);
    for (const [id, states] of found) {
      if (states.length > 1) throw new Error(`${id} is there ${states.length} times`);
      const certain = promised.get(id);
      const [state] = states;
      if (state === undefined) continue;
      if (certain === undefined && !doubtful.has(id)) throw new Error(`${id} came back`);
      if (certain !== undefined && !certain.states.has(state))
        throw new Error(`${id} is ${state}, expected ${[...certain.states]}`);
    }
    for (const [id, { states }] of promised)
      if (!found.has(id) && !states.has(RecordState.GONE)) throw new Error(`${id} is lost`);
    // From here on, the records that are there now are certain.
    promised.clear();
    doubtful.clear();
    const numbers = new Map<string, number>();
    for (const { number, state } of [...journal.records()]) {
      const { id } = JSON.parse((await journal.read(number)).toString());
      promised.set(id, { states: new Set([state]) });
      numbers.set(id, number);
    }

    disk.fail = (call) =>
      random() < faultRate ? (call === "write" && random() < 0.5 ? "ENOSPC" : "EIO") : undefined;
    if (isSmall) disk.capacityBytes = 2000 + random() * 8000;
    const steps = 20 + Math.floor(random() * 150);
    const work: Promise<unknown>[] = [];
    const append = (id: string) => {
      doubtful.add(id);
      work.push(
        journal.append(payload(id)).then(
          (number) => {
            doubtful.delete(id);
            promised.set(id, { states: new Set([RecordState.WAITING]) });
            numbers.set(id, number);
          },
          // The daemon keeps the record, and tries again.
          () => (random() < 0.5 && !disk.isDown ? append(id) : undefined),
        ),
      );
    };
    const mark = (id: string) => {
      const states = [RecordState.BEGAN, RecordState.PARKED, RecordState.GONE];
      const state = states[Math.floor(random() * 3)];
      const certain = promised.get(id);
      const number = numbers.get(id);
      if (state === undefined || certain === undefined || number === undefined) return;
      certain.states.add(state);
      if (state === RecordState.GONE) numbers.delete(id);
      const latest = (order.get(id) ?? 0) + 1;
      order.set(id, latest);
      const isHurried = random() < 0.5;
      const marked = isHurried
        ? journal.mark(number, state, "note")
        : journal.markLater(number, state);
      work.push(
        marked.then(
          () => {
            // Marks reach the disk in the order in which they were made.
            if (order.get(id) === latest) certain.states = new Set([state]);
          },
          () => undefined,
        ),
      );
    };
    const turn = () => new Promise((resolve) => setImmediate(resolve));
    for (let step = 0; step < steps; step++) {
      const ids = [...numbers.keys()];
      const id = ids[Math.floor(random() * ids.length)];
      const choice = random();
      if (id === undefined || choice < 0.4) append(`${seed}-${nextId++}`);
      else if (choice < 0.8) mark(id);
      else await turn();
    }
    const end = random();
    if (end < 0.5) disk.powerFailure();
    else if (end < 0.8) disk.kill();
    else {
      disk.fail = () => undefined;
      disk.capacityBytes = Number.POSITIVE_INFINITY;
      await journal.settle();
    }
    let isClosed = false;
    const closing = journal.close().then(() => (isClosed = true));
    while (!isClosed) {
      for (const id of numbers.keys()) if (random() < 0.05) mark(id);
      await turn();
    }
    await closing;
    await Promise.all(work);
    disk.reboot();
  }
}

const order = new Map<string, number>();

describe("a journal whose disk and power may fail at any moment", () => {
  it("loses nothing that it has confirmed, and returns nothing twice", async () => {
    const runs = process.env["TORTURE"] === "all" ? 3000 : 300;
    for (let seed = 1; seed <= runs; seed++)
      await torture(seed).catch((error: unknown) => {
        throw new Error(`seed ${seed}`, { cause: error });
      });
  }, 600_000);
});

describe("reading", () => {
  it("finds each record while others are read and segments are rewritten", async () => {
    const disk = new SimulatedDisk(seeded(7));
    const journal = await Journal.open(disk, { ...OPTIONS, limitBytes: 2 * 1024 * 1024 });
    const kept: number[] = [];
    for (let i = 0; i < 600; i++) {
      const number = await journal.append(payload(`record ${i}`));
      if (i % 3 === 0) kept.push(number);
      else void journal.mark(number, RecordState.GONE);
    }
    for (let round = 0; round < 3; round++) {
      const texts = await Promise.all(kept.map(async (number) => journal.read(number)));
      for (const [i, text] of texts.entries())
        expect(text.toString()).toContain(`"record ${3 * i}"`);
    }
    // Most segments are removed while they are visited.
    let visited = 0;
    const visit = journal.visit(() => visited++);
    for (const number of kept.slice(10)) void journal.mark(number, RecordState.GONE);
    await visit;
    expect(visited).toBeGreaterThanOrEqual(10);
    await expect(journal.read(2 ** 40)).rejects.toThrow(NoRecord);
    await journal.close();
  });
});

describe("records", () => {
  it("are counted by state, also after the next start, until they are gone", async () => {
    const disk = new SimulatedDisk(seeded(8));
    const states = [RecordState.ACCOUNTED, RecordState.PARKED, RecordState.REPLACED];
    const open = () => Journal.open(disk, OPTIONS);
    let journal = await open();
    for (const state of [...states, RecordState.GONE, RecordState.ACCOUNTED])
      await journal.mark(await journal.append(payload("x")), state);
    for (let i = 0; i < 2; i++) {
      expect([...states, RecordState.WAITING].map((state) => journal.count(state))).toEqual([
        2, 1, 1, 0,
      ]);
      expect(journal.live).toBe(4);
      await journal.close();
      journal = await open();
    }
    await journal.close();
  });
});
