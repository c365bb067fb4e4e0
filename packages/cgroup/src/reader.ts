/** Reads the figures of cgroups. */
import { existsSync } from "node:fs";
import { isErrno } from "@cm4all/linux";
import {
  type CgroupUsage,
  type FigureName,
  figureEntries,
  KEYED_FILES,
  SINGLE_FILES,
} from "./figures.ts";
import { readCgroupFile } from "./file.ts";
import { parseFlatKeyed, parseSingleValue, type Values } from "./parse.ts";

type Usage = { -readonly [Name in FigureName]?: CgroupUsage[Name] };

/** A file, and how its figures are taken from its text. */
interface Step {
  readonly file: string;
  readonly take: (text: string, usage: Usage) => void;
}

function takeKeyed(parse: (text: string) => Values, figures: [FigureName, string][]) {
  return (text: string, usage: Usage) => {
    const values = parse(text);
    for (const [name, key] of figures) usage[name] = values.get(key);
  };
}

/** Returns what is read of each cgroup: every file once. */
function planSteps(): Step[] {
  const steps: Step[] = [];
  const keyed = new Map<string, [FigureName, string][]>();
  for (const [name, { source }] of figureEntries) {
    if (source.length === 1) {
      const [file] = source;
      const parse = SINGLE_FILES[file];
      steps.push({ file, take: (text, usage) => (usage[name] = parse(text)) });
      continue;
    }
    const [file, key] = source;
    const figures = keyed.get(file) ?? [];
    if (figures.length === 0) {
      keyed.set(file, figures);
      steps.push({ file, take: takeKeyed(KEYED_FILES[file], figures) });
    }
    figures.push([name, key]);
  }
  return steps;
}

const STEPS = planSteps();

/** All figures from the beginning, so that every result has the same shape. */
const NOTHING = Object.fromEntries(figureEntries.map(([name]) => [name, undefined])) as Usage;

/**
 * Reads cgroups one after the other, and remembers which files the last one lacked:
 * looking whether a file is there is cheaper than an exception if it is not.
 */
export class CgroupReader {
  readonly #missing = new Set<string>();
  readonly #onUnreadable: (name: string, error: unknown) => void;

  /** @param onUnreadable told of a file that is there and cannot be read (EACCES, EIO) */
  constructor(onUnreadable: (name: string, error: unknown) => void) {
    this.#onUnreadable = onUnreadable;
  }

  /** @param directoryFd an open directory: all figures come from one cgroup */
  read(directoryFd: number): CgroupUsage {
    const directory = `/proc/self/fd/${directoryFd}/`;
    const usage: Usage = { ...NOTHING };
    for (const { file, take } of STEPS) {
      const text = this.#tryRead(directory, file);
      if (text !== undefined) take(text, usage);
    }
    return usage;
  }

  /** Returns whether a process has ever lived in it; false also if no file tells. */
  wasUsed(directoryFd: number): boolean {
    const directory = `/proc/self/fd/${directoryFd}/`;
    const cpu = this.#tryRead(directory, "cpu.stat");
    if (cpu !== undefined && (parseFlatKeyed(cpu).get("usage_usec") ?? 0) > 0) return true;
    const peak = this.#tryRead(directory, "pids.peak");
    return peak !== undefined && (parseSingleValue(peak) ?? 0) > 0;
  }

  #tryRead(directory: string, name: string): string | undefined {
    const path = directory + name;
    if (this.#missing.has(name) && !existsSync(path)) return undefined;
    try {
      const text = readCgroupFile(path);
      this.#missing.delete(name);
      return text;
    } catch (error) {
      if (isErrno(error, "ENOENT")) this.#missing.add(name);
      // ENODEV: the cgroup was removed meanwhile. EOPNOTSUPP: the host runs without PSI.
      else if (!isErrno(error, "ENODEV", "EOPNOTSUPP", "ENOTSUP")) this.#onUnreadable(name, error);
      return undefined;
    }
  }
}
