/** The format of the system's zone files. Pure. @see tzfile(5), RFC 8536 */
import type { LocalTimeType } from "./posix-rule.ts";

interface Transition {
  readonly time: number;
  readonly type: number;
}

interface FileType extends LocalTimeType {
  /**
   * True if the file's source gave the transitions to this type in standard time, not in wall
   * clock time. This matters only if a rule in TZ shifts them.
   */
  readonly isInStandardTime: boolean;
  readonly isInUniversalTime: boolean;
}

interface LeapSecond {
  readonly time: number;
  /** The sum of all leap seconds up to `time`. */
  readonly correction: number;
}

export interface ZoneFile {
  readonly transitions: readonly Transition[];
  readonly types: readonly FileType[];
  readonly leapSeconds: readonly LeapSecond[];
  /** The rule for the time after the last transition, in the format of TZ. */
  readonly footer: string;
}

const HEADER_BYTES = 44;

/** Parses a zone file; returns undefined for anything else. */
export function parseZoneFile(bytes: Buffer): ZoneFile | undefined {
  try {
    const first = new Reader(bytes, 0, 4);
    if (first === undefined || !isZoneFile(bytes, 0)) return undefined;
    const header = readHeader(bytes, 0);
    const size = bodySize(header, 4);
    if (bytes[4] === 0) return readBody(first, header, "");
    const start = HEADER_BYTES + size;
    if (!isZoneFile(bytes, start)) return undefined;
    const second = readHeader(bytes, start);
    const footer = bytes.toString("latin1", start + HEADER_BYTES + bodySize(second, 8));
    return readBody(new Reader(bytes, start, 8), second, /^\n([^\n]*)\n/.exec(footer)?.[1] ?? "");
  } catch (error) {
    // The file is shorter than its header says.
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function isZoneFile(bytes: Buffer, at: number): boolean {
  return bytes.toString("latin1", at, at + 4) === "TZif";
}

interface Header {
  universal: number;
  standard: number;
  leaps: number;
  times: number;
  types: number;
  characters: number;
}

function readHeader(bytes: Buffer, at: number): Header {
  const count = (index: number) => bytes.readUInt32BE(at + 20 + 4 * index);
  return {
    universal: count(0),
    standard: count(1),
    leaps: count(2),
    times: count(3),
    types: count(4),
    characters: count(5),
  };
}

function bodySize(header: Header, timeBytes: number): number {
  return (
    header.times * (timeBytes + 1) +
    header.types * 6 +
    header.characters +
    header.leaps * (timeBytes + 4) +
    header.standard +
    header.universal
  );
}

class Reader {
  readonly #bytes: Buffer;
  readonly #timeBytes: number;
  #position: number;

  constructor(bytes: Buffer, header: number, timeBytes: number) {
    this.#bytes = bytes;
    this.#timeBytes = timeBytes;
    this.#position = header + HEADER_BYTES;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#position++);
  }

  int32(): number {
    this.#position += 4;
    return this.#bytes.readInt32BE(this.#position - 4);
  }

  time(): number {
    if (this.#timeBytes === 4) return this.int32();
    this.#position += 8;
    return Number(this.#bytes.readBigInt64BE(this.#position - 8));
  }

  text(length: number): string {
    this.#position += length;
    return this.#bytes.toString("latin1", this.#position - length, this.#position);
  }

  many<T>(count: number, read: () => T): T[] {
    if (count > this.#bytes.length) throw new RangeError("more entries than bytes");
    return Array.from({ length: count }, read);
  }
}

function readBody(reader: Reader, header: Header, footer: string): ZoneFile {
  const times = reader.many(header.times, () => reader.time());
  const indices = reader.many(header.times, () => reader.byte());
  const types = reader.many(header.types, () => ({
    offset: reader.int32(),
    isDst: reader.byte() !== 0,
    name: reader.byte(),
  }));
  const names = reader.text(header.characters);
  const leapSeconds = reader.many(header.leaps, () => ({
    time: reader.time(),
    correction: reader.int32(),
  }));
  const standard = reader.many(header.standard, () => reader.byte());
  const universal = reader.many(header.universal, () => reader.byte());
  return {
    transitions: times.map((time, i) => ({ time, type: indices[i] ?? 0 })),
    types: types.map(({ offset, isDst, name }, i) => ({
      offset,
      isDst,
      abbreviation: /^[^\0]*/.exec(names.slice(name))?.[0] ?? "",
      isInStandardTime: standard[i] === 1,
      isInUniversalTime: universal[i] === 1,
    })),
    leapSeconds,
    footer,
  };
}
