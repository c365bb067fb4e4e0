/** Formats figures for people. Pure. */

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** Returns a size such as `1.5 GiB`; "-" if it is undefined. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < BYTE_UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** Returns a time as hours, minutes and seconds such as `2:05:09`; below a minute, `9.5 s`. */
export function formatCpu(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** Returns a number such as `12,345`; "-" if it is undefined. */
export function formatCount(count: number | undefined): string {
  return count === undefined ? "-" : count.toLocaleString("en");
}
