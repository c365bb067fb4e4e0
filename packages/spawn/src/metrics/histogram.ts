/** The number of values in each of several ranges, and the sum of all values. */
export interface Histogram {
  /** The upper bounds of the buckets, ascending; a bucket includes its bound. */
  readonly bounds: readonly number[];
  /** The number of values in each bucket, and last the number of values above all bounds. */
  readonly counts: number[];
  sum: number;
}

/**
 * Returns an empty histogram.
 * @param bounds the upper bounds of its buckets, ascending; one more bucket is for the values above
 *   all bounds
 */
export function emptyHistogram(bounds: readonly number[]): Histogram {
  return { bounds, counts: new Array<number>(bounds.length + 1).fill(0), sum: 0 };
}

/** Counts `value`. */
export function observe(histogram: Histogram, value: number): void {
  const { bounds, counts } = histogram;
  let bucket = 0;
  // NaN falls into the last bucket.
  while (bucket < bounds.length && !(value <= (bounds[bucket] ?? 0))) bucket++;
  counts[bucket] = (counts[bucket] ?? 0) + 1;
  histogram.sum += value;
}

/** Adds the counts of `other`, which has the same bounds. */
export function addHistogram(histogram: Histogram, other: Histogram): void {
  for (const [bucket, count] of other.counts.entries())
    histogram.counts[bucket] = (histogram.counts[bucket] ?? 0) + count;
  histogram.sum += other.sum;
}

/** Returns how many values were counted. */
export function countOf({ counts }: Histogram): number {
  return counts.reduce((sum, count) => sum + count, 0);
}
