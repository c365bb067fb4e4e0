// @ts-check
/**
 * The first lines of a bundle that starts through a shell. Before any JavaScript runs, Node
 * forgets which signals it was started to ignore, for example by nohup(1). If a command is to
 * ignore them too, a shell therefore reads the mask first, and puts it into CM4ALL_SIGIGN for
 * takeIgnoredSignals() (packages/linux). The shell is bash, because bash passes on variables with
 * any name, while dash drops those that are not valid in a shell; with -p it runs nothing of the
 * caller's (BASH_ENV, functions). bash itself ignores SIGQUIT: the caller ignored it only if bash
 * lists it among the inherited traps. The file is a script in both languages: to JavaScript, the
 * two lines of shell are strings and comments.
 *
 * The shell reads the mask only if the first argument is `subcommand`, or an option, because the
 * subcommand may follow it.
 * @param {string} subcommand
 * @param {string} options options of Node
 */
export const launcher = (subcommand, options) => `#!/bin/bash -p
':' //; case "$1" in ${subcommand} | -*) while read -r key value; do [ "$key" != SigIgn: ] || export CM4ALL_SIGIGN="$value"; done </proc/$$/status; [ "$(trap -p QUIT)" ] || printf -v CM4ALL_SIGIGN %x $((16#$CM4ALL_SIGIGN & ~4)) ;; esac
':' //; exec /usr/bin/env node ${options} "$0" "$@"`;
