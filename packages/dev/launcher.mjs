// @ts-check
/**
 * The first lines of a bundle that starts through a shell. Node forgets which signals it was
 * started to ignore, as nohup(1) does it, before any JavaScript runs. So a shell looks first,
 * where a command is to inherit that, and puts the mask into CM4ALL_SIGIGN for
 * takeIgnoredSignals() (packages/linux). The file is a script of both languages: to
 * JavaScript the two lines of shell are strings and comments.
 *
 * It looks for `subcommand`, and for options, after which the subcommand may come.
 * @param {string} subcommand
 * @param {string} options of Node
 */
export const launcher = (subcommand, options) => `#!/bin/sh
':' //; case "$1" in ${subcommand} | -*) while read -r key value; do [ "$key" != SigIgn: ] || export CM4ALL_SIGIGN="$value"; done </proc/$$/status ;; esac
':' //; exec /usr/bin/env node ${options} "$0" "$@"`;
