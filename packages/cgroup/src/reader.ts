/** Reads the figures of cgroups. */
import { isShortage, KeptPath, tryReadTextAt } from "@cm4all/linux";
import {
  type CgroupUsage,
  type FigureName,
  figureEntries,
  KEYED_FILES,
  SINGLE_FILES,
} from "./figures.ts";
import { parseCpuTotalUsec, parseSingleValue, type Values } from "./parse.ts";

type Usage = { -readonly [Name in FigureName]?: CgroupUsage[Name] };

/**
 * Maps a file that exists with every kernel to the files of the same controller that exist only
 * with newer kernels. If the former is missing, the cgroup does not have the controller, and the
 * other files need not be looked for.
 */
const COMPANIONS: Readonly<Record<string, readonly string[]>> = {
  "memory.events": ["memory.peak", "memory.swap.peak"],
  "pids.events": ["pids.peak", "pids.forks"],
};

const isCompanionOf = (companion: string, file: string) =>
  COMPANIONS[file]?.includes(companion) === true;

/** A file, and the function that takes the figures from its text. */
interface Step {
  readonly file: string;
  readonly path: KeptPath;
  readonly take: (text: string, usage: Usage) => void;
}

function takeKeyed(parse: (text: string) => Values, figures: [FigureName, string][]) {
  return (text: string, usage: Usage) => {
    const values = parse(text);
    for (const [name, key] of figures) usage[name] = values.get(key);
  };
}

/** Returns the files that are read for each cgroup, each once, in the order of reading. */
function planSteps(): Step[] {
  const steps: Step[] = [];
  const keyed = new Map<string, [FigureName, string][]>();
  for (const [name, { source }] of figureEntries) {
    if (source.length === 1) {
      const [file] = source;
      const parse = SINGLE_FILES[file];
      steps.push(step(file, (text, usage) => (usage[name] = parse(text))));
      continue;
    }
    const [file, key] = source;
    const figures = keyed.get(file) ?? [];
    if (figures.length === 0) {
      keyed.set(file, figures);
      steps.push(step(file, takeKeyed(KEYED_FILES[file], figures)));
    }
    figures.push([name, key]);
  }
  // Files that show whether others can exist come first.
  return [
    ...steps.filter(({ file }) => file in COMPANIONS),
    ...steps.filter(({ file }) => !(file in COMPANIONS)),
  ];
}

function step(file: string, take: Step["take"]): Step {
  return { file, path: new KeptPath(file), take };
}

const STEPS = planSteps();

/** A result in which every figure is undefined, so that all results have the same shape. */
const NOTHING = Object.fromEntries(figureEntries.map(([name]) => [name, undefined])) as Usage;

const CPU_STAT = new KeptPath("cpu.stat");
const PIDS_PEAK = new KeptPath("pids.peak");

export class CgroupReader {
  readonly #onUnreadable: (name: string, error: unknown) => void;

  /**
   * Makes a reader. Its methods throw if descriptors or memory run out: otherwise an existing file
   * would seem to be missing.
   * @param onUnreadable called for an existing file that cannot be read (EACCES, EIO)
   */
  constructor(onUnreadable: (name: string, error: unknown) => void) {
    this.#onUnreadable = onUnreadable;
  }

  /**
   * Reads all figures.
   * @param directoryFd the open directory of the cgroup, so that all figures are of the same cgroup
   */
  read(directoryFd: number): CgroupUsage {
    const usage: Usage = { ...NOTHING };
    const missing: string[] = [];
    for (const { file, path, take } of STEPS) {
      if (missing.some((sign) => isCompanionOf(file, sign))) continue;
      this.#guard(file, () => {
        const text = tryReadTextAt(directoryFd, path);
        if (text === undefined) missing.push(file);
        else take(text, usage);
      });
    }
    return usage;
  }

  /** Returns true if a file shows that a process has ever been in the cgroup. */
  wasUsed(directoryFd: number): boolean {
    const isAboveZero = (
      file: string,
      path: KeptPath,
      parse: (text: string) => number | undefined,
    ) => this.#guard(file, () => (parse(tryReadTextAt(directoryFd, path) ?? "") ?? 0) > 0) === true;
    return (
      isAboveZero("cpu.stat", CPU_STAT, parseCpuTotalUsec) ||
      isAboveZero("pids.peak", PIDS_PEAK, parseSingleValue)
    );
  }

  /**
   * Returns what `read` returns; if the file cannot be read, reports that and returns undefined.
   * @throws system errors if descriptors or memory run out
   */
  #guard<T>(file: string, read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (isShortage(error)) throw error;
      this.#onUnreadable(file, error);
      return undefined;
    }
  }
}
