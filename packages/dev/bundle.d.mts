/** For tests that bundle a program of their own. See bundle.mjs. */
export function bundle(options: {
  entry: string;
  outfile: string;
  budgetKiB: number;
  ffi?: boolean;
  loader?: Record<string, string>;
  stays?: boolean;
  keepsIgnoredSignals?: string;
}): Promise<void>;
