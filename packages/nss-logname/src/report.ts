/** Makes the report of `status`. Pure. */
import { findObstacle, serviceName, splitAtService } from "./edit.ts";
import { describeMistake } from "./failure.ts";
import type { Libraries } from "./libraries.ts";
import {
  type Database,
  type DatabaseLine,
  databases,
  findLine,
  NsswitchError,
  parseNsswitch,
} from "./nsswitch.ts";

/** A part of the report. */
export interface Section {
  readonly title: string;
  readonly lines: readonly string[];
  /** True if this part is as it should be. */
  readonly isGood: boolean;
}

/**
 * Reports which of these C libraries have a module that they can load. The section is good if at
 * least one of them has.
 */
export function reportModule({ libcs, modules }: Libraries): Section {
  const title = "Module";
  if (libcs.length === 0)
    return { title, isGood: false, lines: ["no libc.so.6; only glibc loads NSS modules"] };
  const lines = libcs.map(({ directory, architecture }) => {
    const found = modules.filter((module) => module.architecture === architecture);
    return found.length > 0
      ? `${found.map(({ path }) => path).join(", ")} (${architecture})`
      : `missing for the C library in ${directory} (${architecture})`;
  });
  const useless = modules.filter(
    (module) => !libcs.some((libc) => libc.architecture === module.architecture),
  );
  for (const { path, architecture } of useless)
    lines.push(`${path} is for another architecture (${architecture})`);
  return { title, lines, isGood: useless.length < modules.length };
}

/** Reports on nsswitch.conf. @param text undefined if there is no file */
export function reportConfiguration(path: string, text: string | undefined): Section {
  const title = "Configuration";
  if (text === undefined) return { title, isGood: false, lines: [`${path} does not exist`] };
  try {
    const parsed = parseNsswitch(text);
    const problems = databases.map((database) => findProblem(findLine(parsed, database)));
    return {
      title,
      isGood: problems.every((problem) => problem === undefined),
      lines: databases.map(
        (database, index) => `${path}: ${database}: ${problems[index] ?? `${serviceName} is last`}`,
      ),
    };
  } catch (error) {
    if (!(error instanceof NsswitchError)) throw error;
    return { title, isGood: false, lines: [describeMistake(path, error)] };
  }
}

function findProblem(line: DatabaseLine | undefined): string | undefined {
  const place = line === undefined ? undefined : splitAtService(line);
  if (line === undefined || place === undefined) return `${serviceName} is missing`;
  const obstacle = findObstacle(place.before);
  if (obstacle !== undefined) return obstacle;
  if (place.behind.length > 0)
    return `${serviceName} is not last, so it can override real accounts`;
  return line.tail.endsWith("\n")
    ? undefined
    : "the line does not end with a newline, so glibc ignores it";
}

/** The results of the lookups of an id. */
export interface Answer {
  readonly database: Database;
  readonly id: number;
  /** The answer of our module. */
  readonly module: string | undefined;
  /** The answer that every program gets. */
  readonly programs: string | undefined;
}

/** Possible reasons for no answer. */
export interface Circumstances {
  readonly hasModule: boolean;
  readonly isConfigured: boolean;
  /** The reason why the module does not use the environment. */
  readonly environmentProblem: string | undefined;
  readonly hasNscd: boolean;
}

/**
 * Reports on the answers. The lack of an answer is not a fault, because the answer depends on the
 * environment of this process.
 */
export function reportAnswers(answers: readonly Answer[], why: Circumstances): Section[] {
  const section = (title: string, describe: (answer: Answer) => string): Section => ({
    title,
    isGood: true,
    lines: answers.map(
      (answer) =>
        `${answer.database === "passwd" ? "uid" : "gid"} ${answer.id}: ${describe(answer)}`,
    ),
  });
  return [
    section("The module answers", ({ module }) => module ?? `nothing: ${whyNoAnswer(why)}`),
    section("Programs get", ({ module, programs }) => {
      if (programs === undefined) return `nothing: ${whyNoName(module, why)}`;
      return programs === module ? programs : `${programs} (from another service)`;
    }),
  ];
}

function whyNoAnswer({ environmentProblem, hasModule }: Circumstances): string {
  if (!hasModule) return "it is missing";
  return (
    environmentProblem ??
    "the C library cannot load it, or this program is set-uid or has capabilities"
  );
}

function whyNoName(module: string | undefined, { isConfigured, hasNscd }: Circumstances): string {
  if (module === undefined) return "no service knows it";
  if (!isConfigured) return "the configuration is not in place";
  if (hasNscd) return "nscd asks the module in its own process, which has another environment";
  return "the configuration was not read; perhaps a line of another database is wrong";
}

/** Returns the sections as text, each below its title. */
export function formatSections(sections: readonly Section[]): string {
  return sections
    .map(({ title, lines }) => [`${title}:`, ...lines.map((line) => `  ${line}`)].join("\n"))
    .join("\n");
}
