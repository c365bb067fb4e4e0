/** The name of the upvalue through which functions see globals: not a valid name in scripts. */
export const GLOBALS = "(globals)";
