/**
 * Parses the files of a cgroup. Pure.
 *
 * A line counts only if it ends with a newline: a truncated text could end in the middle of a
 * number. A value that is not a plain decimal integer, such as `max`, is left out.
 *
 * @see https://docs.kernel.org/admin-guide/cgroup-v2.html "Format"
 */

/** The integers of a file by their keys. */
export type Values = ReadonlyMap<string, number>;

const INTEGER = /^\d+$/;

function integer(text: string): number | undefined {
  return INTEGER.test(text) ? Number(text) : undefined;
}

/** Returns the whole lines, without their newlines. */
function lines(text: string): string[] {
  const all = text.split("\n");
  all.pop();
  return all;
}

/** Parses a file with one value, such as `memory.peak`. */
export function parseSingleValue(text: string): number | undefined {
  return text.endsWith("\n") ? integer(text.trimEnd()) : undefined;
}

/** Parses lines of `KEY VALUE`, such as those of `cpu.stat`. */
export function parseFlatKeyed(text: string): Values {
  const values = new Map<string, number>();
  for (const line of lines(text)) {
    const space = line.indexOf(" ");
    const value = integer(line.slice(space + 1));
    if (space > 0 && value !== undefined) values.set(line.slice(0, space), value);
  }
  return values;
}

const USAGE = /^usage_usec (\d+)\n/m;

/** Returns only the CPU time in a `cpu.stat`. */
export function parseCpuTotalUsec(text: string): number | undefined {
  const usage = USAGE.exec(text)?.[1];
  return usage === undefined ? undefined : Number(usage);
}

const IO_KEYS = ["rbytes", "wbytes", "rios", "wios"] as const;

/**
 * Parses `io.stat`: `MAJ:MIN rbytes=N wbytes=N rios=N wios=N ...` for each device that was
 * used. Returns the sums of these four figures over all devices; they are 0 if no device was used.
 */
export function parseIoStat(text: string): Values {
  const sums = new Map<string, number>(IO_KEYS.map((key) => [key, 0]));
  for (const line of lines(text)) {
    for (const field of line.split(" ")) {
      const equals = field.indexOf("=");
      const key = field.slice(0, equals);
      const sum = sums.get(key);
      const value = integer(field.slice(equals + 1));
      if (value !== undefined && sum !== undefined) sums.set(key, sum + value);
    }
  }
  return sums;
}

const PRESSURE_SOME = /^some .*\btotal=(\d+)$/;

/** Parses `cpu.pressure` and the like. Returns the microseconds in which some task waited. */
export function parsePressureSomeUsec(text: string): number | undefined {
  for (const line of lines(text)) {
    const total = PRESSURE_SOME.exec(line)?.[1];
    if (total !== undefined) return Number(total);
  }
  return undefined;
}

const POPULATED = /^populated (\d+)\n/m;

/** Parses `cgroup.events`. Returns true if there is a process in the cgroup or below it. */
export function parsePopulated(text: string): boolean | undefined {
  const value = POPULATED.exec(text)?.[1];
  return value === undefined ? undefined : Number(value) !== 0;
}
