// @ts-check
/**
 * The first lines of a bundle that starts through a shell. Node forgets which signals it was
 * started to ignore, as nohup(1) does it, before any JavaScript runs. So a shell looks first,
 * where a command is to inherit that, and puts the mask into CM4ALL_SIGIGN for
 * takeIgnoredSignals() (packages/linux). It is bash, which passes on variables of any name,
 * where dash drops those that are none of its own; with -p it runs nothing of the caller's
 * (BASH_ENV, functions). It ignores SIGQUIT itself: that is the caller's only if bash lists
 * it among the traps that it has found. The file is a script of both languages: to
 * JavaScript the two lines of shell are strings and comments.
 *
 * It looks for `subcommand`, and for options, after which the subcommand may come.
 * @param {string} subcommand
 * @param {string} options of Node
 */
export const launcher = (subcommand, options) => `#!/bin/bash -p
':' //; case "$1" in ${subcommand} | -*) while read -r key value; do [ "$key" != SigIgn: ] || export CM4ALL_SIGIGN="$value"; done </proc/$$/status; [ "$(trap -p QUIT)" ] || printf -v CM4ALL_SIGIGN %x $((16#$CM4ALL_SIGIGN & ~4)) ;; esac
':' //; exec /usr/bin/env node ${options} "$0" "$@"`;
