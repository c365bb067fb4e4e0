/** The upvalue through which functions see globals. No script can write this name. */
export const GLOBALS = "(globals)";
