/** The signals that were ignored when this program was started. @see signal(7), nohup(1) */
import { intFunction } from "./libc.ts";

const SIG_IGN = 1;

const libc = { signal: intFunction("signal", 2) };

/**
 * The variable in which a bundle's launcher (packages/dev/launcher.mjs) passes the mask of ignored
 * signals.
 */
const VARIABLE = "CM4ALL_SIGIGN";

/**
 * Returns the numbers of the signals that were ignored when this program was started, and removes
 * from the environment the variable that lists them. Without the launcher, the result is empty.
 */
export function takeIgnoredSignals(): number[] {
  const mask = process.env[VARIABLE] ?? "";
  delete process.env[VARIABLE];
  return parseSignalMask(mask);
}

/** Parses a mask of /proc/PID/status, such as `0000000000000001` for SIGHUP, into numbers. Pure. */
export function parseSignalMask(mask: string): number[] {
  if (!/^[0-9a-f]{1,16}$/i.test(mask)) return [];
  const bits = BigInt(`0x${mask}`);
  const numbers: number[] = [];
  for (let signal = 1; signal <= 64; signal++)
    if (((bits >> BigInt(signal - 1)) & 1n) === 1n) numbers.push(signal);
  return numbers;
}

/**
 * Ignores signals, given by number. If SIGCHLD is among them, Node does not notice that a child
 * has ended.
 */
export function ignoreSignals(signals: readonly number[]): void {
  for (const signal of signals) libc.signal(signal, SIG_IGN);
}
