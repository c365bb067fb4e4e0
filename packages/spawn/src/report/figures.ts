/** Figures for people. Pure. */

const BYTE_UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/** `1.5 GiB`; "-" for a figure that there is not. */
export function formatBytes(bytes: number | undefined): string {
  if (bytes === undefined) return "-";
  let value = bytes;
  let unit = 0;
  for (; value >= 1024 && unit < BYTE_UNITS.length - 1; unit++) value /= 1024;
  return `${unit === 0 ? value : value.toFixed(1)} ${BYTE_UNITS[unit]}`;
}

/** `2:05:09` is hours, minutes and seconds; below a minute, `9.5 s`. */
export function formatCpu(seconds: number): string {
  if (seconds < 60) return `${Number(seconds.toFixed(1))} s`;
  const whole = Math.round(seconds);
  const two = (number: number) => String(number).padStart(2, "0");
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** `12,345`; "-" for a figure that there is not. */
export function formatCount(count: number | undefined): string {
  return count === undefined ? "-" : count.toLocaleString("en");
}
