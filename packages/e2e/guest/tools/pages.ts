/** Reads the installed pages, and runs their snippets as a reader with a root shell does. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { type Snippet, snippetsOfManual, snippetsOfText } from "@cm4all/testing/snippets";
import { attempt, log, type Result } from "./shell.ts";

const TEXTS = "/usr/share/doc/cm4all-spawn";
const MANUALS = "/usr/share/man";
const OURS = /^(?:cm4all-(?:spawn|slice|logname)|libnss_cm4all|spawn\.toml|slice\.toml)/;

/** A file with the path of the working directory of the reader's shell. */
const PLACE = "/run/e2e-place";

export interface Page {
  readonly name: string;
  readonly snippets: readonly Snippet[];
}

/** Returns the documents that the packages have installed; README comes first. */
export function readTexts(): Page[] {
  return readdirSync(TEXTS, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .sort()
    .map((name) => ({
      name,
      snippets: snippetsOfText(readFileSync(`${TEXTS}/${name}`, "utf8")),
    }));
}

/** Returns the manual pages that the packages have installed. */
export function readManuals(): Page[] {
  return ["man1", "man5", "man7", "man8"]
    .filter((section) => existsSync(`${MANUALS}/${section}`))
    .flatMap((section) =>
      readdirSync(`${MANUALS}/${section}`)
        .filter((name) => OURS.test(name))
        .map((name) => ({
          name: name.replace(/\.gz$/, ""),
          snippets: snippetsOfManual(
            gunzipSync(readFileSync(`${MANUALS}/${section}/${name}`)).toString(),
          ),
        })),
    );
}

/** Returns the text of a snippet. @param page a manual page, such as `cm4all-slice.8` */
export function shownBy(page: string, beginning: string): string {
  const found = readManuals()
    .filter(({ name }) => name === page)
    .flatMap(({ snippets }) => snippets)
    .find(({ text }) => text.startsWith(beginning));
  assert.ok(found, `${page} shows something that begins with ${beginning}`);
  return found.text;
}

/** Makes `directory` the working directory for the snippets. */
export function standIn(directory: string): void {
  writeFileSync(PLACE, directory);
}

/**
 * The exit statuses that are expected of a check that fails, and of a command that runs until the
 * reader stops it.
 */
const EXPECTED = ["cm4all-spawn status*:1", '"timeout 3 "*:124'];

/** The reader who runs a snippet, at a terminal if it needs one. */
export interface Reader {
  /** What the snippet's programs read from their standard input; empty if undefined. */
  readonly types?: string;
  /** True if the snippet's programs need a terminal. */
  readonly hasTerminal?: true;
}

/**
 * Runs a snippet in the directory in which the previous one has left the shell.
 * @param values the values of words that the reader replaces, such as NAME
 * @returns the problem, or undefined if there is none, and the output
 */
export function runSnippet(
  { text, runBy }: Snippet,
  values: Readonly<Record<string, string>>,
  { types = "", hasTerminal }: Reader,
): { readonly problem: string | undefined; readonly printed: string } {
  if (text.startsWith("$ ")) return runDialogue(text, runBy);
  if (text.startsWith("accounting=> ")) return told(runStatements(text));
  const typed = text.replace(/\b[A-Z]+\b/g, (word) => values[word] ?? word);
  const patient = typed.replace(/^.* --watch\b/gm, (line) => `timeout 3 ${line}`);
  const program = `cd "$(cat ${PLACE})"
set -E -o pipefail
trap 'jobs -p | xargs -r kill' EXIT
trap 'status=$?; case "$BASH_COMMAND:$status" in
  ${EXPECTED.map((each) => each.replace("cm4all-spawn status", '"cm4all-spawn status"')).join(" | ")}) ;;
  *) echo "$BASH_COMMAND: status $status" >&2; exit 1 ;;
esac' ERR
${patient}
pwd >${PLACE}`;
  if (hasTerminal !== true) return told(attempt(program, types));
  return told(attempt(`SHELL=/bin/bash script -qec ${quote(program)} /dev/null`, types));
}

function told({ status, stdout, stderr }: Result) {
  const printed = stdout + stderr;
  return { problem: status === 0 ? undefined : printed.slice(-500), printed };
}

function runStatements(typed: string): Result {
  const sql = typed.replace(/^accounting=> /gm, "");
  const psql = "runuser -u postgres -- psql -v ON_ERROR_STOP=1 -d accounting";
  return attempt(`${psql} <<'END'\n${sql}\nEND`);
}

/**
 * Runs each command after a prompt, and compares its output with the lines below it on the page,
 * ignoring line breaks.
 */
function runDialogue(typed: string, runBy = "") {
  let problem: string | undefined;
  for (const part of typed.split(/^\$ /m).slice(1)) {
    const [command = "", ...expected] = part.split("\n");
    const { stdout, stderr } = attempt(`${runBy} bash -c ${quote(command)}`);
    const words = (text: string) => text.trim().split(/\s+/).join(" ");
    if (words(stdout + stderr) !== words(expected.join("\n")))
      problem ??= `${command} prints ${stdout}${stderr}`;
  }
  if (problem !== undefined) log(problem);
  return { problem, printed: "" };
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
