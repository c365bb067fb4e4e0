/** What may be the name of a namespace and of its link. Pure. */

/** IFNAMSIZ of the kernel's if.h, less the NUL. */
const NAME_BYTES_MAX = 15;

/**
 * What is wrong with `name`, or undefined. The kernel refuses most of these for a link
 * (dev_valid_name), some only later or in ways that are hard to understand.
 */
export function nameProblem(name: string): string | undefined {
  const bytes = Buffer.from(name);
  if (bytes.length === 0) return "the name is empty";
  if (bytes.length > NAME_BYTES_MAX)
    return `the name is ${bytes.length} bytes long, at most ${NAME_BYTES_MAX} are possible`;
  if (name === "." || name === "..") return "the name is that of a directory";
  // Where /proc/sys has the settings of all links, and those of new ones.
  if (name === "all" || name === "default")
    return "the name has another meaning among the kernel's settings of links";
  // What Node makes of bytes that are no UTF-8.
  if (name.includes("\ufffd")) return "the name is not UTF-8";
  const forbidden = /[/:%]/.exec(name)?.[0];
  if (forbidden !== undefined) return `the name contains ${JSON.stringify(forbidden)}`;
  // The kernel takes bytes for Latin-1, where A0 is a space: also the second one of "à".
  if (/\s/.test(name) || bytes.includes(0xa0)) return "the name contains white space";
  if (bytes.some((byte) => byte < 0x20 || byte === 0x7f))
    return "the name contains a control character";
  return undefined;
}
