/**
 * The parts that a process or a thread of the program can be, apart from its command line. This
 * is a module of its own so that no part has to load another.
 */

/** The role of the namespace service's thread. */
export const NAMESPACES_ROLE = "namespaces";

/** The role of the reaper's thread. */
export const REAPER_ROLE = "reaper";

/** The argument that makes the program a script host. */
export const SCRIPT_HOST_COMMAND = "script-host";
