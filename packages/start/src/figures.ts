/** Figures as text for a terminal. Pure. */

/** @param bytes null: not known */
export function formatMebibytes(bytes: number | null): string {
  return bytes === null ? "-" : `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

/** Returns a time with its unit, or a dash. */
export function formatSeconds(seconds: number | null): string {
  return seconds === null ? "-" : `${seconds.toFixed(2)} s`;
}

/** Returns a number, or a dash. */
export function formatCount(count: number | null): string {
  return count === null ? "-" : String(count);
}
