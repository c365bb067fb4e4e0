/**
 * The rules by which the module believes the environment, to explain why it answers
 * nothing. c/nss_logname.c is what counts; a test compares the two.
 */

/** Why the module does not know the current user, or undefined where it does. */
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

/** Returns whether a line of a passwd file may have it for a field. */
function isField(text: string): boolean {
  return !/[:\n]/.test(text);
}
