/** Declares bundle() of bundle.mjs for tests that bundle a program of their own. */
export function bundle(options: {
  entry: string;
  outfile: string;
  budgetKiB: number;
  ffi?: boolean;
  loader?: Record<string, string>;
  stays?: boolean;
  keepsIgnoredSignals?: string;
}): Promise<void>;
