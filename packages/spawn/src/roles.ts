/**
 * The names of the roles of the program's worker threads. This is a separate module, so that a role
 * can be named without loading its code.
 */

/** The thread of the namespace service. */
export const NAMESPACES_ROLE = "namespaces";

/** The reaper's thread. */
export const REAPER_ROLE = "reaper";
