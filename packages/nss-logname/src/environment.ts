/**
 * Explains why the module has no answer, by the conditions under which it uses the environment. The
 * conditions are those of c/nss_logname.c; a test compares the two.
 */

/** Returns the reason why the module has no entry for the current user; undefined if it has one. */
export function explainEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): string | undefined {
  const { LOGNAME: name, HOME: home } = env;
  if (name === undefined) return "LOGNAME is not set";
  if (name === "") return "LOGNAME is empty";
  if (!isField(name)) return "LOGNAME holds a colon or a newline";
  if (home === undefined) return "HOME is not set";
  if (!isField(home)) return "HOME holds a colon or a newline";
  return undefined;
}

/** Returns true if `text` may be a field in a line of a passwd file. */
function isField(text: string): boolean {
  return !/[:\n]/.test(text);
}
