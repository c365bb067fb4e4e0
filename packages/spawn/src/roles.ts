/**
 * Names the roles of the program's threads and processes, except for the command line. This is a
 * separate module, so that a role can be named without loading its code.
 */

/** The thread of the namespace service. */
export const NAMESPACES_ROLE = "namespaces";

/** The reaper's thread. */
export const REAPER_ROLE = "reaper";

/** The argument that starts the program as a script host. */
export const SCRIPT_HOST_COMMAND = "script-host";
