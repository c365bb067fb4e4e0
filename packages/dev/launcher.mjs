// @ts-check
/**
 * Returns the first lines of a bundle that starts through a shell. Before any JavaScript runs, Node
 * resets the signals that its caller ignores, for example because of nohup(1). Therefore, if a
 * command that the program runs is to ignore these signals as well, a shell reads the mask of
 * ignored signals before Node starts, and puts the mask into the variable CM4ALL_SIGIGN for
 * takeIgnoredSignals() (packages/linux). The shell is bash, because bash passes on variables of any
 * name, while dash drops those whose names are not valid in a shell; with -p, bash runs no code of
 * the caller (BASH_ENV, functions). bash itself ignores SIGQUIT, so the mask does not show whether
 * the caller did: it did only if bash lists SIGQUIT among the inherited traps. The bundle is a
 * script in both languages: to JavaScript, the two lines of shell are strings and comments.
 *
 * The shell reads the mask only if the first argument is `subcommand`, or an option, which
 * `subcommand` may follow.
 * @param {string} subcommand
 * @param {string} options options of Node
 */
export const launcher = (subcommand, options) => `#!/bin/bash -p
':' //; case "$1" in ${subcommand} | -*) while read -r key value; do [ "$key" != SigIgn: ] || export CM4ALL_SIGIGN="$value"; done </proc/$$/status; [ "$(trap -p QUIT)" ] || printf -v CM4ALL_SIGIGN %x $((16#$CM4ALL_SIGIGN & ~4)) ;; esac
':' //; exec /usr/bin/env node ${options} "$0" "$@"`;
