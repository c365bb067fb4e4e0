/** The signals that this program was started to ignore. Pure. */

/** The numbers in a mask of /proc/PID/status, such as `0000000000000001` for SIGHUP. */
export function parseSignalMask(mask: string): number[] {
  if (!/^[0-9a-f]{1,16}$/i.test(mask)) return [];
  const bits = BigInt(`0x${mask}`);
  const numbers: number[] = [];
  for (let signal = 1; signal <= 64; signal++)
    if (((bits >> BigInt(signal - 1)) & 1n) === 1n) numbers.push(signal);
  return numbers;
}
