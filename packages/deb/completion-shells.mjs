// @ts-check
/** Formats completions for bash, zsh and fish. Pure. */

/** @typedef {import("./completion.mjs").Help} Help */
/** @typedef {import("./completion.mjs").Kind} Kind */

/**
 * Returns commands for sh that print the existing items of a kind, one on each line; undefined if
 * items of this kind cannot be listed.
 * @param {string} program @param {Kind} kind @returns {string | undefined}
 */
function lister(program, kind) {
  if (kind === "directive")
    return "cm4all-slice directives 2>/dev/null | sed -n 's/^\\([A-Za-z]*=\\).*/\\1/p'";
  // Ids of cgroups are long; the commands accept the numbers of their records instead.
  if (kind === "record")
    return "cm4all-spawn accounting list 2>/dev/null | sed -n 's/^\\([0-9]*\\)  .*/\\1/p'";
  if (kind !== "name") return undefined;
  if (program === "cm4all-spawn-netns")
    return "(ls /run/netns; ls /etc/cm4all/spawn/netns) 2>/dev/null | sed -n 's/\\.toml$//; /^[^.]*$/p' | sort -u";
  // The list is empty for users other than root, because only root may ask the daemon.
  if (program.startsWith("cm4all-spawn"))
    return 'cm4all-spawn list --json 2>/dev/null | sed -n \'s/^    "name": "\\(.*\\)",$/\\1/p\'';
  return undefined;
}

/** @param {Help} help */
function wordsOf({ commands, flags, values }) {
  return [...commands, ...flags, ...values.map(([option]) => option)].sort();
}

/**
 * @param {Help[]} commands
 * @param {{ name: string, first: string, setup: string, offer: string, kinds: string, end: string }} shell
 */
function formatPosix(commands, shell) {
  const options = commands.flatMap(({ path, values }) =>
    values.map(([option, kind]) => `            "${path.join(" ")} ${option}") expects=${kind} ;;`),
  );
  const steps = commands
    .filter(({ path }) => path.length > 0)
    .map(({ path }) => {
      const above = path.slice(0, -1).join(" ");
      return `            "${above} ${path.at(-1)}") path="${path.join(" ")}"; count=0 ;;`;
    });
  const offers = commands.map((help) => {
    const args = help.args.map((kind, index) => {
      const isLast = index === help.args.length - 1;
      return `${isLast ? "*" : index}) kind=${kind} ;;`;
    });
    const cases = args.length === 0 ? "" : ` case $count in ${args.join(" ")} esac`;
    return `        "${help.path.join(" ")}") words="${wordsOf(help).join(" ")}";${cases} ;;`;
  });
  return `${shell.first}
${shell.setup}
    for ((i = ${shell.name === "zsh" ? 2 : 1}; i < at; i++)); do
        word=${shell.name === "zsh" ? "$words_[i]" : `\${words_[i]}`}
        if [[ -n $expects ]]; then expects=""; continue; fi
        if [[ $word == -- ]]; then rest=$((at - i)); break; fi
        case "$path $word" in
${[...options, ...steps].join("\n")}
            *" -"*) ;;
            *) count=$((count + 1)) ;;
        esac
    done
    case $path in
${offers.join("\n")}
    esac
    if [[ -n $expects ]]; then kind=$expects; words=""
    elif ((rest > 0)); then words=""; kind=file; if ((rest == 1)); then kind=command; fi; fi
${shell.kinds}
${shell.offer}
${shell.end}
`;
}

/** @param {string} program @param {(list: string) => string} add */
function listed(program, add) {
  return /** @type {Kind[]} */ (["name", "record", "directive"])
    .flatMap((kind) => {
      const command = lister(program, kind);
      return command === undefined ? [] : [`        ${kind}) ${add(command)} ;;`];
    })
    .join("\n");
}

/** @param {string} program @param {Help[]} commands */
export function formatBash(program, commands) {
  const id = `_${program.replaceAll("-", "_")}`;
  return formatPosix(commands, {
    name: "bash",
    first: `# bash completion for ${program}, made from its --help\n\n${id}() {`,
    setup: `    local cur=\${COMP_WORDS[COMP_CWORD]} at=$COMP_CWORD path="" word words="" kind="" expects="" list
    local -i i count=0 rest=0
    local -a words_=("\${COMP_WORDS[@]}")
    COMPREPLY=()`,
    kinds: `    case $kind in
        file) compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$cur") ;;
        command) mapfile -t COMPREPLY < <(compgen -c -- "$cur") ;;
        user) mapfile -t COMPREPLY < <(compgen -u -- "$cur") ;;
${listed(program, (list) => `list=$(${list}); ${list.includes("directives") ? "compopt -o nospace 2>/dev/null; " : ""}mapfile -t COMPREPLY < <(compgen -W "$list" -- "$cur")`)}
    esac`,
    offer: `    [[ $kind == command && $cur == "" ]] || [[ -z $words ]] ||
        mapfile -t -O "\${#COMPREPLY[@]}" COMPREPLY < <(compgen -W "$words" -- "$cur")`,
    end: `}\n\ncomplete -F ${id} ${program}`,
  });
}

/** @param {string} program @param {Help[]} commands */
export function formatZsh(program, commands) {
  const id = `_${program}`;
  return formatPosix(commands, {
    name: "zsh",
    first: `#compdef ${program}\n# made from its --help\n\n${id}() {`,
    setup: `    local path_="" word kind="" expects="" list at=$CURRENT
    local -i i count=0 rest=0
    local -a words_=("\${words[@]}")`,
    kinds: `    case $kind in
        file) _files ;;
        command) _command_names -e ;;
        user) _users ;;
${listed(program, (list) => `compadd ${list.includes("directives") ? "-S '' " : ""}-- \${(f)"$(${list})"}`)}
    esac`,
    offer: `    compadd -- \${=offered}`,
    end: `}\n\n${id} "$@"`,
    // zsh ties "path" to PATH, and keeps the command line in "words": these variables are renamed.
  })
    .replaceAll("$path", "$path_")
    .replaceAll(" path=", " path_=")
    .replaceAll(' words="', ' offered="')
    .replace('local path_=""', 'local offered="" path_=""');
}

/** @param {string} program @param {Help[]} commands */
export function formatFish(program, commands) {
  const lines = [
    `# fish completion for ${program}, made from its --help`,
    `complete -c ${program} -f`,
  ];
  const all = commands.flatMap(({ path }) => (path.length === 1 ? path : []));
  for (const help of commands) {
    const seen = help.path.map((word) => `__fish_seen_subcommand_from ${word}`);
    const own = help.commands.filter((word) => word !== "help");
    const below = own.length > 0 ? [`not __fish_seen_subcommand_from ${own.join(" ")}`] : [];
    const isTop = help.path.length === 0;
    const inside = isTop ? [`not __fish_seen_subcommand_from ${all.join(" ")}`] : seen;
    const at = (/** @type {string[]} */ conditions) => `-n '${conditions.join("; and ")}'`;
    if (own.length > 0)
      lines.push(`complete -c ${program} ${at([...seen, ...below])} -a '${own.join(" ")}'`);
    const option = (/** @type {string} */ name) =>
      name.startsWith("--") ? `-l ${name.slice(2)}` : `-s ${name.slice(1)}`;
    for (const flag of help.flags)
      lines.push(`complete -c ${program} ${at(inside)} ${option(flag)}`);
    for (const [name, kind] of help.values)
      lines.push(
        `complete -c ${program} ${at(inside)} ${option(name)} ${fishValue(program, kind)}`,
      );
    for (const kind of new Set(help.args)) {
      const value = fishArgument(program, kind);
      if (value !== undefined) lines.push(`complete -c ${program} ${at(inside)} ${value}`);
    }
  }
  return `${lines.join("\n")}\n`;
}

/** @param {string} program @param {Kind} kind */
function fishValue(program, kind) {
  const argument = fishArgument(program, kind);
  return argument === undefined ? "-x" : kind === "file" ? "-r -F" : `-x ${argument}`;
}

/** @param {string} program @param {Kind} kind @returns {string | undefined} */
function fishArgument(program, kind) {
  if (kind === "file") return "-F";
  if (kind === "command") return "-a '(__fish_complete_command)'";
  if (kind === "user") return "-a '(__fish_complete_users)'";
  const list = lister(program, kind);
  return list === undefined
    ? undefined
    : `-a "(sh -c ${JSON.stringify(`'${list.replaceAll("'", `'\\''`)}'`)
        .slice(1, -1)
        .replaceAll("$", "\\$")})"`;
}
