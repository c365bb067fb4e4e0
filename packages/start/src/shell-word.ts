/** Returns a string as a word of a POSIX shell: in quotes only if it needs them. Pure. */
export function shellWord(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
