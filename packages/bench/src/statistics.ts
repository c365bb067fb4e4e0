/** Returns the value below which `share` of all values lie. Pure. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Returns the median. */
export const median = (values: readonly number[]) => quantile(values, 0.5);
