// @ts-check
/**
 * Writes the completions of one of our programs for bash, zsh and fish, based on its `--help`,
 * which Commander generates:
 *
 *     node completion.mjs NAME BUNDLE DIRECTORY
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isProgram } from "../dev/program.mjs";
import { formatBash, formatFish, formatZsh } from "./completion-shells.mjs";

/** @typedef {"file" | "name" | "record" | "command" | "directive" | "user" | "other"} Kind */

/**
 * A program, or one of its subcommands.
 * @typedef {object} Help
 * @property {string[]} path the names of the subcommands above it, and its own; empty for the
 *   program itself
 * @property {string[]} commands  names of its own subcommands
 * @property {string[]} flags  options without a value
 * @property {[option: string, kind: Kind][]} values  options with a value
 * @property {Kind[]} args  its arguments; the last one stands for all further arguments, too
 */

/**
 * Returns the kind of a value or an argument, from its name in the help.
 * @param {string} text
 * @returns {Kind}
 */
function kindOf(text) {
  if (/^(file|dir|directory|path|script|cgroup)$/i.test(text)) return "file";
  if (text === "name") return "name";
  if (text === "id") return "record";
  if (text === "command") return "command";
  if (text === "NAME=VALUE") return "directive";
  return text === "user" ? "user" : "other";
}

/**
 * Parses the text that Commander prints for `--help`. Pure.
 * @param {string} text
 * @param {string[]} path
 * @returns {Help}
 */
export function parseHelp(text, path = []) {
  /** @type {Help} */
  const help = { path, commands: [], flags: [], values: [], args: [] };
  const [, usage = ""] = /^Usage: (.*)$/m.exec(text) ?? [];
  for (const [, name = ""] of usage.matchAll(/[[<]([\w-]+)(?:\.\.\.)?[\]>]/g))
    if (name !== "options") help.args.push(kindOf(name));
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
        else help.values.push([name, kindOf(value)]);
    }
  }
  // If a command has subcommands, its argument is a subcommand.
  if (help.commands.length > 0) help.args = [];
  return help;
}

/** @param {string} bundle @param {string[]} path @returns {Help} */
function readHelp(bundle, path) {
  const { stdout, status } = spawnSync(process.execPath, [bundle, ...path, "--help"], {
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`${bundle} ${path.join(" ")} --help: status ${status}`);
  return parseHelp(stdout, path);
}

/**
 * Reads the help of a command and of all its subcommands.
 * @param {string} bundle
 * @param {string[]} path
 * @returns {Help[]}
 */
export function readCommands(bundle, path = []) {
  const help = readHelp(bundle, path);
  const below = help.commands.filter((command) => command !== "help");
  return [help, ...below.flatMap((command) => readCommands(bundle, [...path, command]))];
}

const [name, bundle, directory] = process.argv.slice(2);
if (
  name !== undefined &&
  bundle !== undefined &&
  directory !== undefined &&
  isProgram(import.meta.url)
) {
  const commands = readCommands(bundle);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, name), formatBash(name, commands));
  writeFileSync(join(directory, `_${name}`), formatZsh(name, commands));
  writeFileSync(join(directory, `${name}.fish`), formatFish(name, commands));
}
