/**
 * The grammars of the values of systemd.resource-control(5), as pure parsers. They are stricter
 * than systemd's own where systemd would guess: they allow no octal or hexadecimal numbers, only
 * one unit in a size, and no value that the kernel would refuse when the slice starts.
 */
import { posix } from "node:path";

/** The grammar of a directive's value. */
export interface Grammar {
  /** The allowed values, for error messages and the list of directives. */
  readonly allowed: string;
  /** Returns the value for a unit file; undefined if it is not allowed. */
  parse(text: string): string | undefined;
}

const INTEGER = /^(0|[1-9]\d*)$/;
/** With at most two decimals, because systemd counts in hundredths of a percent. */
const PERCENT = /^(0|[1-9]\d*)(\.\d{1,2})?%$/;
const SIZE = /^(0|[1-9]\d*)(?:(\.\d{1,9})?([KMGTPE])|B)?$/;

function integerBetween(text: string, min: number, max: number): string | undefined {
  const value = Number(text);
  return INTEGER.test(text) && value >= min && value <= max ? text : undefined;
}

function percentUpTo(text: string, max: number, zero: boolean): string | undefined {
  if (!PERCENT.test(text)) return undefined;
  const value = Number.parseFloat(text);
  return value <= max && (zero || value > 0) ? text : undefined;
}

/** yes or no, in the spellings of systemd. */
export const boolean: Grammar = {
  allowed: "yes or no",
  parse(text) {
    if (["yes", "true", "on", "1"].includes(text)) return "yes";
    if (["no", "false", "off", "0"].includes(text)) return "no";
    return undefined;
  },
};

/** Returns the grammar of a directive whose value is one of these words. */
export function oneOf(...words: string[]): Grammar {
  return {
    allowed: words.join(" or "),
    parse: (text) => (words.includes(text) ? text : undefined),
  };
}

/** A share relative to the shares of the siblings. @see cgroup-v2.rst, "Weights" */
export const weight: Grammar = {
  allowed: "an integer from 1 to 10000",
  parse: (text) => integerBetween(text, 1, 10000),
};

export const cpuWeight: Grammar = {
  allowed: `${weight.allowed}, or idle`,
  parse: (text) => (text === "idle" ? text : weight.parse(text)),
};

/** The limit of systemd, which keeps hundredths of a percent in a 32-bit integer. */
const CPU_QUOTA_MAX = 21474836.47;

export const cpuQuota: Grammar = {
  allowed: "a percentage above 0% of one CPU, such as 50% or 250% (two decimals at most)",
  parse: (text) => percentUpTo(text, CPU_QUOTA_MAX, false),
};

export const pressureLimit: Grammar = {
  allowed: "a percentage from 0% to 100% (two decimals at most)",
  parse: (text) => percentUpTo(text, 100, true),
};

/** Returns the number of bytes (or other units) in a size such as `1.5G`. */
function sizeOf(text: string, base: 1000 | 1024): number | undefined {
  const match = SIZE.exec(text);
  if (match === null) return undefined;
  const [, whole, fraction = "", unit = ""] = match;
  return Math.floor(Number(`${whole}${fraction}`) * base ** " KMGTPE".indexOf(unit || " "));
}

/**
 * The kernel treats a memory limit of this size or more as "no limit", which is written `infinity`.
 */
const SIZE_END = 2 ** 63;

interface SizeOptions {
  /** The thing that is counted, for messages. */
  readonly of: string;
  readonly base: 1000 | 1024;
  readonly zero: boolean;
  readonly percent: boolean;
}

function size({ of, base, zero, percent }: SizeOptions): Grammar {
  const range = zero ? "0 or more" : "more than 0";
  const share = percent ? ", a percentage such as 10% (two decimals at most)" : "";
  return {
    allowed: `${of}, with K, M, G, T, P or E for powers of ${base}${share}, or infinity; ${range}, less than 8E`,
    parse(text) {
      if (text === "infinity") return text;
      if (percent && text.endsWith("%")) return percentUpTo(text, 100, zero);
      const value = sizeOf(text, base);
      const fits = value !== undefined && value >= (zero ? 0 : 1) && value < SIZE_END;
      return fits ? text : undefined;
    },
  };
}

/**
 * Returns the grammar of a memory limit.
 * @param options whether 0 and percentages are allowed
 */
export function memory(options: { zero: boolean; percent: boolean }): Grammar {
  return size({ of: "a number of bytes", base: 1024, ...options });
}

/** @see the kernel's PID_MAX_LIMIT: pids.max refuses more */
const TASKS_MAX = 4194304;

export const tasks: Grammar = {
  allowed: `an integer from 1 to ${TASKS_MAX}, a percentage above 0% (two decimals at most), or infinity`,
  parse: (text) =>
    text === "infinity"
      ? text
      : (percentUpTo(text, 100, false) ?? integerBetween(text, 1, TASKS_MAX)),
};

const USEC_OF: Readonly<Record<string, number>> = {
  us: 1,
  ms: 1000,
  s: 1_000_000,
  min: 60_000_000,
  h: 3_600_000_000,
  d: 86_400_000_000,
};

/**
 * Parses a time span of systemd.time(7). Returns microseconds; a number without a unit is in
 * seconds.
 */
export function parseTimeSpan(text: string): number | undefined {
  if (/^\d{1,9}(\.\d{1,6})?$/.test(text)) return Math.floor(Number(text) * 1_000_000);
  if (!/^(\d{1,9}(\.\d{1,6})? ?(us|ms|min|s|h|d) ?)+$/.test(text)) return undefined;
  let usec = 0;
  for (const [, number, unit = ""] of text.matchAll(/([\d.]+) ?([a-z]+)/g))
    usec += Number(number) * (USEC_OF[unit] ?? 0);
  return Math.floor(usec);
}

/**
 * Returns the grammar of a time span.
 * @param range the range in words
 * @param minUsec the shortest span
 * @param maxUsec the longest span
 */
export function timeSpan(
  range: string,
  minUsec: number,
  maxUsec = Number.MAX_SAFE_INTEGER,
): Grammar {
  return {
    allowed: `a time span in us, ms, s, min, h or d, such as 20ms or "1min 30s": ${range}`,
    parse(text) {
      const usec = parseTimeSpan(text);
      return usec !== undefined && usec >= minUsec && usec <= maxUsec ? text : undefined;
    },
  };
}

/**
 * Returns the grammar of a list of indices and ranges of CPUs or memory nodes.
 * @param max the last index
 */
export function indices(what: string, max: number): Grammar {
  return {
    allowed: `a list of ${what} and ranges from 0 to ${max}, such as 0-3,8`,
    parse(text) {
      const words = text.split(/[ ,]+/);
      const valid = words.every((word) => {
        const [first = "", last = first, ...rest] = word.split("-");
        return (
          rest.length === 0 &&
          integerBetween(first, 0, max) !== undefined &&
          integerBetween(last, Number(first), max) !== undefined
        );
      });
      return valid ? words.join(",") : undefined;
    },
  };
}

/** No white space, quotes or control characters. udev escapes such bytes, as in `\x20`. */
const DEVICE = /^\/[^\p{C}\p{Z}"']*$/u;

/**
 * Returns the path as it is written in a unit file, where systemd resolves backslash escapes and
 * expands `%`; undefined if the path is not allowed.
 */
function encodePath(path: string): string | undefined {
  const bytes = Buffer.byteLength(path);
  const longName = path.split("/").some((name) => Buffer.byteLength(name) > 255);
  if (!DEVICE.test(path) || posix.normalize(path) !== path || bytes > 4095 || longName)
    return undefined;
  return path.replaceAll("\\", "\\\\").replaceAll("%", "%%");
}

/** Returns the grammar `DEVICE VALUE`, for directives that are set per block device. */
export function perDevice(value: Grammar): Grammar {
  return {
    allowed: `the absolute path of a block device or of a file on it, a space, and ${value.allowed}`,
    parse(text) {
      const [, path = "", rest = ""] = /^(\S+) +(.*)$/.exec(text) ?? [];
      const device = encodePath(path);
      const parsed = value.parse(rest);
      return device === undefined || parsed === undefined ? undefined : `${device} ${parsed}`;
    },
  };
}

export const ioWeight = perDevice(weight);
export const bytesPerSecond = perDevice(
  size({ of: "a number of bytes per second", base: 1000, zero: false, percent: false }),
);
export const operationsPerSecond = perDevice(
  size({ of: "a number of operations per second", base: 1000, zero: false, percent: false }),
);
