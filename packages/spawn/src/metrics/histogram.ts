/** How large something was that is seen again and again. */
export interface Histogram {
  /** Upper bounds of the buckets, ascending; each belongs to its bucket. */
  readonly bounds: readonly number[];
  /** How many were in each bucket, and in the end how many were larger than all bounds. */
  readonly counts: number[];
  sum: number;
}

/**
 * Returns a histogram that has counted nothing.
 * @param bounds the upper ends of its buckets, rising; a last one has what is above
 */
export function emptyHistogram(bounds: readonly number[]): Histogram {
  return { bounds, counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 };
}

/** Counts `value`. */
export function observe(histogram: Histogram, value: number): void {
  const { bounds, counts } = histogram;
  let bucket = 0;
  // NaN is in the last one.
  while (bucket < bounds.length && !(value <= (bounds[bucket] ?? 0))) bucket++;
  counts[bucket] = (counts[bucket] ?? 0) + 1;
  histogram.sum += value;
}

/** Counts what `other` has counted, which has the same bounds. */
export function addHistogram(histogram: Histogram, other: Histogram): void {
  for (const [bucket, count] of other.counts.entries())
    histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + count;
  histogram.sum += other.sum;
}

/** Returns how many values were counted. */
export function countOf({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
