/**
 * The parts that a process or a thread of the program can be, besides its command line.
 * A module of its own, so that none of them loads another one.
 */

/** The thread of the namespace service. */
export const NAMESPACES_ROLE = "namespaces";

/** The reaper's thread. */
export const REAPER_ROLE = "reaper";

/** The argument with which the program is a script host. */
export const SCRIPT_HOST_COMMAND = "script-host";
