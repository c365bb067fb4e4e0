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
  if (!isUserName(name)) return "LOGNAME is not a name that useradd(8) would take";
  if (home === undefined) return "HOME is not set";
  if (!home.startsWith("/")) return "HOME is not an absolute path";
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  if (/[:\x00-\x1f\x7f]/.test(home)) return "HOME holds a colon or a control character";
  return undefined;
}

function isUserName(name: string): boolean {
  return (
    /^[A-Za-z0-9_.][A-Za-z0-9_.-]*\$?$/.test(name) &&
    name.length <= 32 &&
    !/^([0-9]+|\.\.?)$/.test(name)
  );
}
