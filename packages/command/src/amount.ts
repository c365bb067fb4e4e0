/** Returns a number with its noun, such as "1 cgroup" or "2 cgroups". Pure. */
export function amount(number: number, noun: string): string {
  return number === 1 ? `1 ${noun}` : `${number} ${noun}s`;
}

/** Returns the beginning of a sentence, such as "1 cgroup is" or "2 cgroups are". Pure. */
export function amountIs(number: number, noun: string): string {
  return `${amount(number, noun)} ${number === 1 ? "is" : "are"}`;
}
