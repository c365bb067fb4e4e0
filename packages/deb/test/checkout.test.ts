/**
 * Tests the commands of README, CONTRIBUTING and docs that need a checkout, not the installed
 * packages. Commands that end soon and change neither the sources nor the host are run; all others
 * are only read, as their programs would read them. All are taken from the pages as they stand.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { testPackages } from "@cm4all/dev/debian-packages";
import { missing } from "@cm4all/testing";
import { type Snippet, snippetsOfText } from "@cm4all/testing/snippets";
import { describe, expect, it } from "vitest";
import { EX_USAGE } from "../../dev/setup.mjs";
import { places } from "../../e2e/bare/places.mjs";
import { readOptions } from "../../e2e/options.mjs";
import { readCommands } from "../completion.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));
const read = (path: string) => readFileSync(join(root, path), "utf8");
const run = (command: string, directory = root) =>
  spawnSync("bash", ["-c", command], { cwd: directory, encoding: "utf8" });

const OURS = "packages/deb/test/checkout.test.ts";
const docs = readdirSync(join(root, "docs")).filter((name) => name.endsWith(".md"));
const PAGES = ["README.md", "CONTRIBUTING.md", ...docs.map((name) => `docs/${name}`)];

/** The reasons in `not run:` comments before snippets that contain no commands. */
const NO_COMMANDS = /^(?:a line of the log|output of \w+|folders|layers|a drawing)$/;

/** A command in a page, with the directory to which a `cd` before it has led. */
interface Command {
  readonly place: string;
  readonly directory: string;
  readonly text: string;
}

function commandsOf(page: string, { line, text }: Snippet): Command[] {
  let directory = root;
  return text.split("\n").flatMap((each, index): Command[] => {
    const command = each.replace(/ {2,}#.*$| # .*$| {4}the daemon.*$/, "").trim();
    const [, to] = /^cd (\S+)$/.exec(command) ?? [];
    if (to !== undefined) directory = join(root, to);
    const isCommand = command !== "" && to === undefined;
    return isCommand ? [{ place: `${page}:${line + index}`, directory, text: command }] : [];
  });
}

const commands = PAGES.flatMap((page) =>
  snippetsOfText(read(page))
    .filter(({ testedBy, notRun }) => testedBy === OURS || (notRun && !NO_COMMANDS.test(notRun)))
    .flatMap((snippet) => commandsOf(page, snippet)),
);

const MEASUREMENT = /^npm run bench -- hostile --only /;

/** Commands that are run as they stand, with this process's ID in place of PID. */
const RUN = [
  /^npm run (?:build|typecheck|lint)$/,
  /^npx vitest(?: run(?: \S+\.test\.ts| -t .*)?)?$/,
  /^ps /,
  // The shortest of the measurements.
  MEASUREMENT,
];

/** Returns the problem with a command that is only read; undefined if there is none. */
type Reader = (words: readonly string[], directory: string) => string | undefined;

/** Why a command is not run, and the function that reads it instead. */
const READ: readonly (readonly [RegExp, why: string, reader: Reader])[] = [
  [/^npm run format$/, "it rewrites sources, which somebody may be editing", readNpm],
  [/^npm run deb$/, "it takes minutes; packages/e2e runs it", readNpm],
  [/^apt-get install /, "it changes the host; packages/e2e does it", readInstallation],
  [
    /^npm run e2e\b/,
    "it starts containers and virtual machines, and takes minutes or hours",
    readNpm,
  ],
  [/^npm run bench\b/, "it takes several minutes, and needs a quiet machine", readNpm],
  [/^SOURCE_MAPS=1 npm run build$/, "it replaces the bundles that are being tested", readVariable],
  [/^node --/, "the daemon would reap the host's cgroups", readNode],
  [/^npx vitest run --inspect-brk /, "it waits for a debugger", readVitest],
  [/^strace /, "it ends only with the process", readTracer],
  [/^perf /, "perf comes in a package for the running kernel's version", () => undefined],
];

/** Returns whether a word is a placeholder, such as NAME. */
const isPlaceholder = (word: string) => /^[A-Z]+(?::[A-Z]+)?$/.test(word);

const unknown = (names: readonly string[], known: readonly string[]) =>
  names.find((name) => !isPlaceholder(name) && !known.includes(name));

const packages = readdirSync(join(root, "packages"));
const tested = Object.keys(testPackages);
const fuzzed = packages.flatMap((name) => {
  const manifest = join(root, "packages", name, "package.json");
  if (!existsSync(manifest)) return [];
  const folder = join(root, "packages", name, "fuzz");
  const subjects = existsSync(folder)
    ? readdirSync(folder).map((file) => basename(file, ".ts"))
    : [];
  return readFileSync(manifest, "utf8").includes('"fuzz": ') ? [...subjects, name] : subjects;
});
const measured = () =>
  /^Measures the subjects (.*);$/m
    .exec(run("node packages/bench/dist/bench.js --help").stdout)?.[1]
    ?.split(", ") ?? [];
const [, cases = ""] = read("packages/e2e/guest/cases/index.ts").split("export const cases");
const caseNames = [...cases.matchAll(/^ {2}"?([\w-]+)"?[:,]/gm)].map(([, name = ""]) => name);

/** For each of our scripts, a function that returns the first unknown name in its arguments. */
const ARGUMENTS: { readonly [script: string]: (args: string[]) => string | undefined } = {
  test: (args) => unknown(args, tested),
  coverage: (args) => unknown(args, tested),
  mutate: (args) => {
    const options = { seconds: { type: "string" } } as const;
    return unknown(parseArgs({ args, allowPositionals: true, options }).positionals, packages);
  },
  bench: (args) => {
    const options = { only: { type: "string" } } as const;
    return unknown(parseArgs({ args, allowPositionals: true, options }).positionals, measured());
  },
  fuzz: ([subject = "SUBJECT"]) => unknown([subject], fuzzed),
  deb: (args) => {
    parseArgs({ args, options: { "host-arch": { type: "string" } } });
    return undefined;
  },
  e2e: (args) => {
    const { values, positionals } = readOptions(args);
    return unknown(positionals, values.bare === undefined ? caseNames : Object.keys(places));
  },
};

/** Reads `npm start`, `npm test` and `npm run SCRIPT`, with the arguments after `--`. */
function readNpm(words: readonly string[]): string | undefined {
  const [, first = "", ...rest] = words;
  const [script = "", separator, ...args] = first === "run" ? rest : [first, ...rest];
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  if (!Object.hasOwn(scripts, script)) return `there is no script ${script}`;
  if (separator !== undefined && separator !== "--") return `${separator} needs -- before it`;
  try {
    const name = ARGUMENTS[script]?.(args);
    return name === undefined ? undefined : `${script} does not know ${name}`;
  } catch (error) {
    return String(error);
  }
}

function readInstallation(words: readonly string[]): string | undefined {
  const target = "packages/deb/dist";
  if (!read("packages/deb/build-packages.mjs").includes(`"${target}"`))
    return "it builds elsewhere";
  return words[2] === `./${target}/*.deb` ? undefined : "there are no packages";
}

function readVariable(words: readonly string[]): string | undefined {
  const [name = ""] = words[0]?.split("=") ?? [];
  return read("turbo.json").includes(`"${name}"`)
    ? readNpm(words.slice(1))
    : `no build uses ${name}`;
}

/** Reads Node's options, and those of the bundle. */
function readNode(words: readonly string[]): string | undefined {
  const at = words.findIndex((word) => word.endsWith(".js"));
  const wrong = words.slice(1, at).find((word) => !process.allowedNodeEnvironmentFlags.has(word));
  if (wrong !== undefined) return `Node has no option ${wrong}`;
  const [bundle = "", ...args] = words.slice(at);
  if (!existsSync(join(root, bundle))) return `there is no ${bundle}`;
  const [help] = readCommands(join(root, bundle));
  const options = [...(help?.flags ?? []), ...(help?.values ?? []).map(([option]) => option)];
  const given = args.filter((word) => word.startsWith("-"));
  const unknownOption = given.find((word) => !options.includes(word));
  return unknownOption === undefined ? undefined : `${bundle} has no option ${unknownOption}`;
}

/** Reads Vitest's options and the path of a test. Vitest's help has the options in camel case. */
function readVitest(words: readonly string[], directory: string): string | undefined {
  const { stdout } = run("npx vitest --help", directory);
  const known = [...stdout.matchAll(/--(\w+)/g)].map(([, name]) => name);
  const wrong = words
    .filter((word) => word.startsWith("--"))
    .map((word) => word.replace(/^--(?:no-)?/, ""))
    .map((name) => name.replace(/-./g, ([, letter = ""]) => letter.toUpperCase()))
    .find((name) => !known.includes(name));
  if (wrong !== undefined) return `Vitest has no option ${wrong}`;
  const file = words.at(-1) ?? "";
  return existsSync(join(directory, file)) ? undefined : `there is no ${file}`;
}

/** Traces a process for a moment. */
function readTracer(words: readonly string[]): string | undefined {
  if (missing("strace") !== undefined) return undefined;
  const command = words.join(" ").replace("TID", "$!");
  const { status, stderr } = run(`sleep 10 & timeout 1 ${command}; s=$?; kill $!; exit $s`);
  return status === 124 ? undefined : stderr;
}

describe("the commands that need a checkout", () => {
  const isRun = ({ text }: Command) => RUN.some((pattern) => pattern.test(text));

  const titled = (some: readonly Command[]) =>
    some.map((command) => [`${command.place}: ${command.text}`, command] as const);

  it.for(titled(commands.filter(isRun)))(
    "%s",
    { timeout: 300_000 },
    ([, { directory, text }], { skip }) => {
      if (MEASUREMENT.test(text)) {
        const reason = missing("root", "catatonit", "gcc");
        skip(reason !== undefined, reason);
      }
      const command = text.replace("PID", `${process.pid}`);
      const { status, stdout, stderr } = run(command, directory);
      expect(status, stdout + stderr).toBe(0);
      // Vitest succeeds if there is no such file.
      if (text.startsWith("npx vitest")) expect(stdout).toContain(" passed");
    },
  );

  it.each(titled(commands.filter((command) => !isRun(command))))(
    "%s can be read",
    (_, { directory, text }) => {
      const [, why, reader] = READ.find(([pattern]) => pattern.test(text)) ?? [];
      expect(why, `it is not run, and there is no reason why: ${text}`).toBeDefined();
      // A word between quotation marks may contain blanks.
      const words = [...text.matchAll(/"([^"]*)"|(\S+)/g)].map(
        ([, quoted, word]) => quoted ?? word,
      );
      const problem = reader?.(
        words.filter((word) => word !== undefined),
        directory,
      );
      expect(problem).toBeUndefined();
    },
  );

  it("match each pattern at least once", () => {
    const patterns = [...RUN, ...READ.map(([pattern]) => pattern)];
    expect(patterns.filter((pattern) => !commands.some(({ text }) => pattern.test(text)))).toEqual(
      [],
    );
  });
});

it.each(PAGES)("the sentences of %s name only scripts and arguments that exist", (page) => {
  const inline = [...read(page).matchAll(/`(npm (?:run|test|start)\b[^`]*)`/g)];
  const wrong = inline.flatMap(([, command = ""]) => {
    const problem = readNpm(command.split(/\s+/));
    return problem === undefined ? [] : [`${command}: ${problem}`];
  });
  expect(wrong).toEqual([]);
});

it("wrong commands are noticed", () => {
  for (const command of [
    "npm run e2e -- --bar trixie",
    "npm run e2e -- --vm instal",
    "npm run e2e -- --bare trixie clon",
    "npm run bench -- deamon",
    "npm run bench -- --onyl x",
    "npm run fuzz -- nothing 60",
    "npm test -- lau",
    "npm run tests",
    "npm run deb -- --arch arm64",
  ])
    expect(readNpm(command.split(" ")), command).toBeDefined();
  expect(readNode(["node", "--inspekt", "packages/spawn/dist/cm4all-spawn.js"])).toBeDefined();
  expect(readNode(["node", "packages/spawn/dist/cm4all-spawn.js", "--lisen"])).toBeDefined();
  expect(
    readVitest(
      ["npx", "vitest", "--inspect-brake", "test/requests.test.ts"],
      join(root, "packages/spawn"),
    ),
  ).toBeDefined();
});

it.each(["--nonsense", "nonsense", "--only=nonsense"])(
  "a measurement of %s is refused with one line, before anything is measured",
  (argument) => {
    const refused = run(`node packages/bench/dist/bench.js daemon ${argument}`);
    const line = expect.stringMatching(/^.*nonsense.*\n$/);
    expect(refused).toMatchObject({ status: EX_USAGE, stdout: "", stderr: line });
  },
);
