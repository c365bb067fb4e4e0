/**
 * Fuzzes code that reads untrusted bytes: `@cm4all/testing/fuzz`. A subject is a file
 * `packages/*\/fuzz/NAME.ts`. `npm run fuzz -- NAME SECONDS` runs the subject for that time; a test
 * of its package runs the subject briefly, with the same inputs each time.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";

export interface Subject {
  readonly name: string;
  /** Pieces from which inputs are made. */
  readonly tokens: readonly (string | Buffer)[];
  /** Whole inputs that the code itself makes, in addition to the files of the corpus. */
  readonly samples?: readonly (string | Buffer)[];
  /**
   * Reads an input, and checks properties of the result. The subject catches errors that the
   * reader declares; any other error is a finding.
   */
  readonly read: (input: Buffer) => void | Promise<void>;
  /** Called at the end of the run. */
  readonly close?: () => void | Promise<void>;
}

/**
 * The length of the longest input: code that takes quadratic time or worse exceeds MAX_CPU_MS for
 * an input of this length.
 */
const MAX_BYTES = 65_536;

const MAX_CPU_MS = 2000;

/**
 * Returns the corpus of a subject: whole inputs, including those that were once findings. Its
 * files are in the package's directory, in which both its tests and `npm run fuzz` run.
 */
export function readCorpus({ name, samples = [] }: Subject): Buffer[] {
  const directory = join("fuzz/corpus", name);
  const files = readdirSync(directory).sort();
  return [
    ...files.map((file) => readFileSync(join(directory, file))),
    ...samples.map((sample) => Buffer.from(sample)),
  ];
}

type Change = (input: Buffer) => Buffer;

const splice = (input: Buffer, at: number, removed: number, added: Uint8Array): Buffer => {
  const start = input.length === 0 ? 0 : at % (input.length + 1);
  return Buffer.concat([input.subarray(0, start), added, input.subarray(start + removed)]);
};

/** Numbers that readers of integers often get wrong. */
const EDGES = [0, 1, 2, 3, 4, 7, 8, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff];

/**
 * Returns changes to an input: other bits, integers and pieces; pieces that are copied or repeated;
 * an end that is cut off, or replaced by the end of another input.
 */
function changes(tokens: readonly Buffer[], corpus: readonly Buffer[]): fc.Arbitrary<Change> {
  const at = fc.nat(MAX_BYTES);
  const few = fc.nat(16);
  const piece = fc.oneof(
    fc.uint8Array({ maxLength: 8 }),
    ...(tokens.length > 0 ? [{ weight: 3, arbitrary: fc.constantFrom(...tokens) }] : []),
  );
  const replaced = fc.tuple(at, few, piece).map(
    ([at, removed, added]): Change =>
      (input) =>
        splice(input, at, removed, added),
  );
  const flipped = fc.tuple(at, fc.nat(7)).map(
    ([at, bit]): Change =>
      (input) => {
        const copy = Buffer.from(input);
        if (copy.length > 0) {
          const index = at % copy.length;
          copy.writeUInt8(copy.readUInt8(index) ^ (1 << bit), index);
        }
        return copy;
      },
  );
  const edge = fc.tuple(at, fc.constantFrom(...EDGES), fc.constantFrom(1, 2, 4), fc.boolean()).map(
    ([at, value, size, aligned]): Change =>
      (input) => {
        const copy = Buffer.from(input);
        if (copy.length < size) return copy;
        const index = at % (copy.length - size + 1);
        const place = aligned ? index - (index % size) : index;
        copy.writeUIntLE(value % 2 ** (8 * size), place, size);
        return copy;
      },
  );
  const cut = at.map(
    (at): Change =>
      (input) =>
        input.subarray(0, at % (input.length + 1)),
  );
  const copied = fc.tuple(at, at, fc.nat(64)).map(
    ([from, to, length]): Change =>
      (input) => {
        const start = from % (input.length + 1);
        return splice(input, to, 0, input.subarray(start, start + length));
      },
  );
  // Long repetitions reveal code that backtracks.
  const pumped = fc.tuple(at, fc.integer({ min: 1, max: 8 }), fc.nat(MAX_BYTES)).map(
    ([at, length, total]): Change =>
      (input) => {
        const start = at % (input.length + 1);
        const part = input.subarray(start, start + length);
        if (part.length === 0) return input;
        return splice(input, start, 0, Buffer.alloc(total, part));
      },
  );
  const crossed =
    corpus.length === 0
      ? []
      : [
          fc.tuple(fc.constantFrom(...corpus), at, at).map(
            ([other, at, from]): Change =>
              (input) =>
                splice(input, at, input.length, other.subarray(from % (other.length + 1))),
          ),
        ];
  return fc.oneof(
    { weight: 4, arbitrary: replaced },
    { weight: 3, arbitrary: flipped },
    { weight: 3, arbitrary: edge },
    { weight: 2, arbitrary: cut },
    { weight: 2, arbitrary: copied },
    { weight: 1, arbitrary: pumped },
    ...crossed.map((arbitrary) => ({ weight: 2, arbitrary })),
  );
}

/**
 * Returns inputs for a subject: inputs of its corpus, sequences of tokens, and random bytes, each
 * with up to 8 changes.
 */
function inputsOf(subject: Subject): fc.Arbitrary<Buffer> {
  const tokens = subject.tokens.map((token) => Buffer.from(token));
  const corpus = readCorpus(subject);
  const bytes = fc.uint8Array({ maxLength: 200 }).map((array) => Buffer.from(array));
  const words =
    tokens.length === 0
      ? bytes
      : fc.array(fc.constantFrom(...tokens), { maxLength: 40 }).map((all) => Buffer.concat(all));
  const begin =
    corpus.length === 0
      ? fc.oneof(words, bytes)
      : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...corpus) }, words, bytes);
  return fc
    .tuple(begin, fc.array(changes(tokens, corpus), { maxLength: 8 }))
    .map(([input, all]) =>
      all.reduce((changed, change) => change(changed).subarray(0, MAX_BYTES), input),
    );
}

/** A finding: the input, and the problem that it causes. */
export class FuzzFinding extends Error {
  override readonly name = "FuzzFinding";
  readonly input: Buffer;

  constructor(input: Buffer, cause: unknown) {
    super(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), { cause });
    this.input = input;
  }
}

export interface FuzzOptions {
  /** The seed: the same number gives the same inputs. */
  readonly seed: number;
  /**
   * The number of inputs after the corpus, or the time in seconds. With a time, the run also checks
   * how much CPU time each input takes.
   */
  readonly until: { readonly runs: number } | { readonly seconds: number };
  /** Called with each input before it is read, so the input is known if the read never ends. */
  readonly onInput?: (input: Buffer) => void;
}

/**
 * Reads the corpus, and then other inputs until `options.until` is reached.
 * @returns the number of inputs that were read
 * @throws FuzzFinding with the smallest input that was found to cause the problem
 */
export async function fuzz(subject: Subject, options: FuzzOptions): Promise<number> {
  const { seed, until, onInput } = options;
  let count = 0;
  const read = async (input: Buffer) => {
    count++;
    onInput?.(input);
    const before = process.cpuUsage();
    await subject.read(Buffer.from(input));
    const { user, system } = process.cpuUsage(before);
    const tookMs = (user + system) / 1000;
    if ("seconds" in until && tookMs > MAX_CPU_MS)
      throw new Error(`${input.length} bytes took ${Math.round(tookMs)} ms`);
  };
  try {
    for (const input of readCorpus(subject))
      await read(input).catch((error: unknown) => {
        throw new FuzzFinding(input, error);
      });
    const result = await fc.check(fc.asyncProperty(inputsOf(subject), read), {
      seed,
      ...("runs" in until
        ? { numRuns: until.runs }
        : { numRuns: 2 ** 31, interruptAfterTimeLimit: until.seconds * 1000 }),
    });
    const [input] = result.counterexample ?? [];
    if (result.failed && input !== undefined) throw new FuzzFinding(input, result.errorInstance);
    return count;
  } finally {
    await subject.close?.();
  }
}
