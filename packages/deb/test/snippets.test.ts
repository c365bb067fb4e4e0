/**
 * Tests that the commands in README, docs, examples and manual pages exist: the commands are taken
 * from the pages as they stand, and compared with what the programs print for --help. Also tests
 * the links between pages, and that each snippet is run or has a reason why it is not.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { snippetsOfManual, snippetsOfText } from "@cm4all/testing/snippets";
import { describe, expect, it } from "vitest";
import { readCommands } from "../completion.mjs";

const root = fileURLToPath(new URL("../../..", import.meta.url));

const PROGRAMS: { readonly [name: string]: string } = {
  "cm4all-spawn": "spawn",
  "cm4all-spawn-client": "client",
  "cm4all-spawn-netns": "netns",
  "cm4all-slice": "slice",
  "cm4all-logname": "nss-logname",
};

const helps = new Map(
  Object.entries(PROGRAMS).map(([name, where]) => [
    name,
    readCommands(join(root, "packages", where, "dist", `${name}.js`)),
  ]),
);

const below = (directory: string, ending: RegExp) =>
  readdirSync(join(root, directory))
    .filter((name) => ending.test(name))
    .map((name) => join(directory, name));

const TEXTS = [
  "README.md",
  "CONTRIBUTING.md",
  "SECURITY.md",
  ...below("docs", /\.md$/),
  "examples/README.md",
  "packages/client/README.md",
];
const MANUALS = below("docs/man", /\.\d$/);

const ALERTS = below("examples/prometheus", /\.alerts\.yml$/);

/** A command on a page, with its line; 0 if the line is not known. */
type Found = readonly [line: number, command: string];

/**
 * Returns the commands in code between backticks, and in indented and fenced lines; a line that
 * ends with a backslash is joined with the next one.
 */
function commandsOfText(text: string): Found[] {
  const found: Found[] = [];
  let isFenced = false;
  let joined = "";
  for (const [index, line] of text.split("\n").entries()) {
    if (line.startsWith("```")) isFenced = !isFenced;
    for (const [, code = ""] of line.matchAll(/`([^`]+)`/g)) found.push([index + 1, code]);
    if (!isFenced && !/^ {4}/.test(line)) continue;
    const command = `${joined}${line.trim().replace(/^\$ /, "")}`;
    joined = command.endsWith("\\") ? command.slice(0, -1) : "";
    if (joined === "") found.push([index + 1, command]);
  }
  return found;
}

/** Returns the commands in lines of examples, and in bold text. */
function commandsOfManual(text: string): Found[] {
  let joined = "";
  return text.split("\n").flatMap((line, index): Found[] => {
    const plain = line
      .replace(/^\.(?:B|BR|RB|BI)\s+/, "")
      .replace(/\\f[BIPR]|\\c$/g, "")
      .replaceAll("\\-", "-")
      .replace(/\\e$/, "\\")
      .replace(/"([^"]*)"/g, "$1")
      .trim();
    const command = joined + plain;
    joined = command.endsWith("\\") ? command.slice(0, -1) : "";
    return joined === "" ? [[index + 1, command]] : [];
  });
}

/** Returns the commands between quotation marks in alerts, whose strings may be folded. */
function commandsOfAlerts(text: string): Found[] {
  const found = text.replace(/\s+/g, " ").matchAll(/"(cm4all-[^"]+)"/g);
  return [...found].map(([, command = ""]) => [0, command]);
}

/**
 * Returns what is wrong with a command of ours; undefined if nothing is, or if the command is not
 * ours.
 */
function problemOf(command: string): string | undefined {
  const words = command
    .replace(/ {2,}.*$| #.*$| \| .*$/, "")
    .split(/\s+/)
    .flatMap((word) => word.replace(/[[\]{},;]|\.\.\.$/g, "").split("|"));
  const [program = ""] = words;
  const help = helps.get(program);
  if (help === undefined) return undefined;
  let at = help.find(({ path }) => path.length === 0);
  for (const word of words.slice(1)) {
    if (at === undefined || /^(--|[>&]|\.\.\.)$/.test(word)) return undefined;
    const options = [at, ...help.filter(({ path }) => path.length === 0)].flatMap(
      ({ flags, values }) => [...flags, ...values.map(([option]) => option)],
    );
    const [option = ""] = word.split("=");
    // This is the dash in the NAME section of a manual page.
    if (word === "-") return undefined;
    if (option.startsWith("-") && !options.includes(option)) return `no option ${option}`;
    if (!/^[a-z][a-z-]*$/.test(word)) continue;
    const next = help.find(({ path }) => path.join(" ") === [...(at?.path ?? []), word].join(" "));
    if (next !== undefined) at = next;
    else if (at.commands.length > 0 && at.path.length === 0) return `no command ${word}`;
  }
  return undefined;
}

const read = (path: string) => readFileSync(join(root, path), "utf8");

describe.each([
  ...TEXTS.map((path) => [path, commandsOfText] as const),
  ...MANUALS.map((path) => [path, commandsOfManual] as const),
  ...ALERTS.map((path) => [path, commandsOfAlerts] as const),
])("%s", (path, commandsOf) => {
  it("has only commands and options that exist", () => {
    const wrong = commandsOf(read(path)).flatMap(([line, command]) => {
      const problem = problemOf(command);
      return problem === undefined ? [] : [`${path}:${line}: ${command}: ${problem}`];
    });
    expect(wrong).toEqual([]);
  });

  it("has only npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = [...read(path).matchAll(/\bnpm run ([a-z][\w-]*)/g)].map(
      ([, name]) => name ?? "",
    );
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([]);
  });
});

/** For each language, the test that runs the snippets in it. */
const RUN_BY: { readonly [language: string]: string } = {
  sh: "packages/e2e/guest/cases/pages.ts",
  lua: "packages/lua/test/docs.test.ts",
  toml: "packages/slice/test/bundle.test.ts",
  js: "packages/client/test/library.test.ts",
};

describe.each([
  ...TEXTS.map((path) => [path, snippetsOfText] as const),
  ...MANUALS.map((path) => [path, snippetsOfManual] as const),
])("%s", (path, snippetsOf) => {
  it("has only snippets that a test runs, or that have a reason why none does", () => {
    for (const { line, language, text, notRun, testedBy } of snippetsOf(read(path))) {
      expect(Object.keys(RUN_BY), `${path}:${line}`).toContain(language);
      expect(text, `${path}:${line}`).not.toBe("");
      if (testedBy !== undefined)
        expect(read(testedBy), `${path}:${line}: ${testedBy} reads it from this page`).toContain(
          `${basename(path)}"`,
        );
      expect(notRun ?? "it is run", `${path}:${line}: a reason`).toMatch(/\w{5}|\w+ \w+/);
    }
  });
});

it("snippets are found as they stand, with the remarks above them", () => {
  const text =
    "Text\n\n    one\n      two\n\n    three\n\n<!-- not run: why not -->\n\n    $ x\n- a\n    b\n```lua\n    y\n```\n";
  const plain = { notRun: undefined, testedBy: undefined, runBy: undefined };
  expect(snippetsOfText(text)).toEqual([
    { line: 3, language: "sh", text: "one\n  two\n\nthree", ...plain },
    { line: 10, language: "sh", text: "$ x", ...plain, notRun: "why not" },
    { line: 14, language: "lua", text: "    y", ...plain },
  ]);
  const manual =
    '.\\" run by: env A=1\n.PP\n.EX\n  x \\-\\-y \\e\n    z\n.EE\n.\\" language: toml\nText\n.\\" tested by: a.ts\n.EX\nz\n.EE\n';
  expect(snippetsOfManual(manual)).toEqual([
    { line: 4, language: "sh", text: "x --y \\\n  z", ...plain, runBy: "env A=1" },
    { line: 11, language: "sh", text: "z", ...plain, testedBy: "a.ts" },
  ]);
});

it("the commands of the pages are found", () => {
  const count = [...TEXTS]
    .flatMap((path) => commandsOfText(read(path)))
    .filter(([, command]) => helps.has(command.split(" ")[0] ?? "")).length;
  expect(count).toBeGreaterThan(50);
  expect(commandsOfAlerts(read(ALERTS[0] ?? "")).length).toBeGreaterThan(10);
  expect(problemOf("cm4all-spawn staus")).toBe("no command staus");
  expect(problemOf("cm4all-spawn status --jason")).toBe("no option --jason");
  expect(problemOf("cm4all-spawn status [--watch|--json]    is it well?")).toBeUndefined();
});

describe.each(TEXTS)("%s", (path) => {
  it("links to files that exist", () => {
    const links = [...read(path).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(
      ([, to]) => to ?? "",
    );
    const local = links.filter((link) => !/^[a-z]+:/.test(link));
    const missing = local.filter((link) => !existsSync(resolve(root, dirname(path), link)));
    expect(missing).toEqual([]);
  });
});

/** The path of an installed document; the group is its path in the repository. */
const INSTALLED =
  /\/usr\/share\/doc\/cm4all-(?:spawn-netns|spawn|slice)\/((?:docs|examples)\b[\w./-]*)/g;

describe.each([...TEXTS, ...MANUALS])("%s", (path) => {
  it("names only installed documents that exist", () => {
    const named = [...read(path).replaceAll("\\-", "-").matchAll(INSTALLED)];
    const files = named.map(([, file = ""]) => file.replace(/\.$/, ""));
    expect(files.filter((file) => !existsSync(join(root, file)))).toEqual([]);
  });
});

it.each(["cm4all-spawn.8", "spawn.toml.5"])("%s lists docs/lua.md and the examples", (page) => {
  const [, files = ""] = read(`docs/man/${page}`).replaceAll("\\-", "-").split(".SH FILES\n");
  const found = [...files.matchAll(INSTALLED)].map(([, file]) => file);
  expect(found).toEqual(expect.arrayContaining(["docs/lua.md", "examples/accounting"]));
});

/** Returns our pages that a page lists under SEE ALSO. */
function sistersOf(path: string): string[] {
  const [, seeAlso = ""] = read(path).split(".SH SEE ALSO\n");
  return [...seeAlso.matchAll(/^\.BR (\S+) \((\d)\)/gm)]
    .map(([, name = "", section]) => `${name.replaceAll("\\-", "-")}.${section}`)
    .filter((file) => existsSync(join(root, "docs/man", file)));
}

it("README and cm4all-spawn(8) explain the same terms, in the same order", () => {
  const terms = ["spawner", "name", "lease", "scope", "reaper"];
  const [beginning = ""] = read("README.md").split("\n## ");
  expect([...beginning.matchAll(/\*\*(\w+)\*\*/g)].map(([, term]) => term)).toEqual(terms);
  const page = read("docs/man/cm4all-spawn.8");
  const listed = [...page.matchAll(/^\.TP\n\.B (\w+)\n[^.]/gm)].map(([, term]) => term);
  expect(listed.filter((term) => terms.includes(term ?? ""))).toEqual(terms);
});

it("slice.toml(5) has every directive", () => {
  const page = read("docs/man/slice.toml.5");
  const { stdout } = spawnSync(
    process.execPath,
    [join(root, "packages/slice/dist/cm4all-slice.js"), "directives"],
    { encoding: "utf8" },
  );
  const directives = [...stdout.matchAll(/^(\w+)=/gm)].map(([, name = ""]) => name);
  expect(directives.length).toBeGreaterThan(30);
  const [, listed = ""] = page.split(".SH DIRECTIVES\n");
  expect(directives.filter((name) => !new RegExp(`\\b${name}\\b`).test(listed))).toEqual([]);
});

describe.each(MANUALS)("%s", (path) => {
  it("refers to related pages, and they refer to it", () => {
    const [, name = ""] = /([^/]*)\.\d$/.exec(path) ?? [];
    const sisters = sistersOf(path);
    expect(sisters, `${path} names the daemon's page`).toContain(
      name === "cm4all-spawn" ? "cm4all-spawn-troubleshooting.7" : "cm4all-spawn.8",
    );
    const leading = MANUALS.filter((other) => sistersOf(other).includes(basename(path)));
    expect(leading.length, `pages that lead to ${path}`).toBeGreaterThan(1);
    const mutual = leading.map((other) => basename(other)).sort();
    expect(sisters.toSorted(), `the pages that lead to ${path}`).toEqual(mutual);
    expect(sistersOf("docs/man/cm4all-spawn.8"), "the daemon's page has all").toEqual(
      expect.arrayContaining(name === "cm4all-spawn" ? [] : [basename(path)]),
    );
  });

  it("names only pages that exist, and has no errors that mandoc finds", () => {
    const named = [...read(path).matchAll(/^\.BR ((?:cm4all|libnss_cm4all|spawn)\S*) \((\d)\)/gm)];
    const missing = named
      .map(([, name = "", section]) => `${name.replaceAll("\\-", "-")}.${section}`)
      .filter((file) => !existsSync(join(root, "docs/man", file)));
    expect(missing).toEqual([]);
    const { stdout } = spawnSync("mandoc", ["-T", "lint", "-W", "error", join(root, path)], {
      encoding: "utf8",
    });
    expect(stdout).toBe("");
  });
});
