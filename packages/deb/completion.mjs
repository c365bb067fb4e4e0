// @ts-check
/**
 * Prints a bash completion for one of our commands, from what its `--help` says:
 *
 *     node completion.mjs NAME BUNDLE
 */
import { spawnSync } from "node:child_process";
import { isProgram } from "../dev/program.mjs";

/**
 * @typedef {object} Help
 * @property {string[]} commands names of subcommands
 * @property {string[]} flags    options without a value
 * @property {string[]} values   options with a value
 * @property {string[]} paths    those of them whose value is a file or directory
 */

/** What commander prints for `--help`. Pure. @param {string} text @returns {Help} */
export function parseHelp(text) {
  /** @type {Help} */
  const help = { commands: [], flags: [], values: [], paths: [] };
  let section = "";
  for (const line of text.split("\n")) {
    section = /^(\S.*):$/.exec(line)?.[1] ?? section;
    if (section === "Commands") {
      const name = /^ {2}([a-z][\w-]*)/.exec(line)?.[1];
      if (name !== undefined) help.commands.push(name);
    } else if (section === "Options" || section === "Global Options") {
      const found = /^ {2}((?:-\w, )?--[\w-]+)(?: <([\w=-]+)>)?/.exec(line);
      if (found === null) continue;
      const [, names = "", value] = found;
      for (const name of names.split(", "))
        if (value === undefined) help.flags.push(name);
        else if (/^(file|dir|directory|path)$/.test(value)) help.paths.push(name);
        else help.values.push(name);
    }
  }
  return help;
}

/** @param {string[]} words */
const pattern = (words) => (words.length === 0 ? "''" : [...new Set(words)].join("|"));

/**
 * Pure.
 * @param {string} name of the program
 * @param {Help} top    the program's own help
 * @param {Map<string, Help>} commands the help of each subcommand, also of those below others
 */
export function formatCompletion(name, top, commands) {
  const all = [top, ...commands.values()];
  const id = name.replaceAll("-", "_");
  const cases = [...commands].map(([command, { commands, flags, values, paths }]) => {
    const words = [...commands, ...flags, ...values, ...paths].sort();
    return `        ${command}) words="${words.join(" ")}" ;;`;
  });
  const topWords = [...top.commands, ...top.flags, ...top.values, ...top.paths].sort();
  return `# bash completion for ${name}(1), made from its --help

_${id}() {
    local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} i words
    COMPREPLY=()
    case $prev in
        ${pattern(all.flatMap(({ paths }) => paths))})
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return ;;
        ${pattern(all.flatMap(({ values }) => values))}) return ;;
    esac
    words="${topWords.join(" ")}"
    for ((i = 1; i < COMP_CWORD; i++)); do
        case \${COMP_WORDS[i]} in
${["        --) return ;;", ...cases].join("\n")}
        esac
    done
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
}

complete -F _${id} ${name}
`;
}

/** @param {string} bundle @param {string[]} args */
function readHelp(bundle, args) {
  const { stdout, status } = spawnSync(process.execPath, [bundle, ...args, "--help"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${bundle} ${args.join(" ")} --help: status ${status}`);
  return parseHelp(stdout);
}

/**
 * The help of all subcommands below `path`, by their names, each of which stands for one.
 * @param {string} bundle @param {string[]} path @param {Help} help of `path`
 * @returns {[string, Help][]}
 */
function readCommands(bundle, path, help) {
  return help.commands
    .filter((command) => command !== "help")
    .flatMap((command) => {
      const own = readHelp(bundle, [...path, command]);
      /** @type {[string, Help][]} */
      const all = [[command, own]];
      return all.concat(readCommands(bundle, [...path, command], own));
    });
}

const [name, bundle] = process.argv.slice(2);
if (name !== undefined && bundle !== undefined && isProgram(import.meta.url)) {
  const top = readHelp(bundle, []);
  process.stdout.write(formatCompletion(name, top, new Map(readCommands(bundle, [], top))));
}
