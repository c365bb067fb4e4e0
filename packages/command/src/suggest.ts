/** Suggestions for words that were mistyped. Pure. */

/** Returns ` (did you mean X?)`; an empty string if none of `candidates` is close to `word`. */
export function didYouMean(word: string, candidates: Iterable<string>): string {
  const farthest = Math.floor((word.length + 1) / 3);
  let best: { readonly candidate: string; readonly distance: number } | undefined;
  for (const candidate of candidates) {
    if (Math.abs(candidate.length - word.length) > farthest) continue;
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance <= farthest && distance < (best?.distance ?? Infinity))
      best = { candidate, distance };
  }
  return best === undefined ? "" : ` (did you mean ${best.candidate}?)`;
}

/**
 * Returns the number of edits that turn `one` into `other`: the least number if no character is
 * edited twice. An edit adds, removes or replaces a character, or exchanges it with the next one.
 */
export function editDistance(one: string, other: string): number {
  const width = other.length + 1;
  let beforeLast: number[] = [];
  let last = Array.from({ length: width }, (_, column) => column);
  for (let row = 1; row <= one.length; row++) {
    const current = [row];
    for (let column = 1; column < width; column++) {
      const isSame = one[row - 1] === other[column - 1];
      const isExchanged = one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      current[column] = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (isSame ? 0 : 1),
        isExchanged ? (beforeLast[column - 2] ?? 0) + 1 : Infinity,
      );
    }
    beforeLast = last;
    last = current;
  }
  return last[other.length] ?? 0;
}
