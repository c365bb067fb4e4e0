/**
 * The log line of a reaped cgroup. Pure. The format is that of the original daemon, and programs
 * on the host read it, so the units and the rounding must not change.
 */
import type { CgroupMeasurement } from "@cm4all/cgroup";

/**
 * Formats `value` with `digits` decimals as C's printf does: an exact tie goes to the even digit,
 * while toFixed rounds it up. With no decimal or one decimal, only multiples of 1/2 or 1/4,
 * respectively, can be exact ties.
 */
export function formatFixed(value: number, digits: 0 | 1): string {
  const isTie = digits === 0 ? Math.abs(value % 1) === 0.5 : Math.abs(value % 0.5) === 0.25;
  if (!isTie) return value.toFixed(digits);
  const scale = 10 ** digits;
  const below = Math.floor(value * scale);
  return ((below % 2 === 0 ? below : below + 1) / scale).toFixed(digits);
}

function formatSince(birthMs: number): string {
  return `${new Date(birthMs).toISOString().slice(0, "2000-01-01T00:00:00".length)}Z`;
}

function seconds(usec: number): string {
  return `${formatFixed(usec / 1e6, 1)}s`;
}

function formatCpu(
  snapshot: CgroupMeasurement,
  ageSeconds: number | undefined,
): string | undefined {
  const { cpuUserUsec: user, cpuSystemUsec: system } = snapshot;
  const known = user !== undefined || system !== undefined;
  const total = snapshot.cpuTotalUsec ?? (known ? (user ?? 0) + (system ?? 0) : undefined);
  if (total === undefined) return undefined;
  const parts = known ? [total, user ?? 0, system ?? 0] : [total];
  const percent =
    ageSeconds !== undefined && ageSeconds > 0
      ? Math.floor((100 * (total / 1e6)) / ageSeconds)
      : undefined;
  const share = percent !== undefined && percent >= 1 ? `[${percent}%]` : "";
  return `cpu=${parts.map(seconds).join("/")}${share}`;
}

function formatForks(forks: number, ageSeconds: number | undefined): string {
  if (ageSeconds === undefined || ageSeconds <= 0) return `forks=${forks}`;
  const rate = forks / ageSeconds;
  if (rate >= 1) return `forks=${forks}[${formatFixed(rate, 0)}/s]`;
  if (rate >= 0.01) return `forks=${forks}[${formatFixed(rate * 60, 1)}/m]`;
  return `forks=${forks}`;
}

/**
 * Returns the line for a cgroup, without a newline; undefined if nothing is known about it.
 * @param suffix its path below the scope, without a leading slash
 */
export function formatReport(suffix: string, snapshot: CgroupMeasurement): string | undefined {
  const { birthMs, measuredMs } = snapshot;
  const ageSeconds = birthMs === undefined ? undefined : (measuredMs - birthMs) / 1000;
  const fields: string[] = [];

  if (birthMs !== undefined) fields.push(`since=${formatSince(birthMs)}`);
  const cpu = formatCpu(snapshot, ageSeconds);
  if (cpu !== undefined) fields.push(cpu);
  if (snapshot.memoryPeakBytes !== undefined)
    fields.push(`memory=${Math.floor((snapshot.memoryPeakBytes + 524287) / 1048576)}M`);
  const reclaim = (snapshot.memoryEventsHigh ?? 0) + (snapshot.memoryEventsMax ?? 0);
  if (reclaim > 0) fields.push(`reclaim=${reclaim}`);
  if ((snapshot.memoryEventsOom ?? 0) > 0) fields.push(`oom=${snapshot.memoryEventsOom}`);
  if (snapshot.pidsPeak !== undefined) fields.push(`procs=${snapshot.pidsPeak}`);
  if (snapshot.pidsForks !== undefined) fields.push(formatForks(snapshot.pidsForks, ageSeconds));
  if ((snapshot.pidsEventsMax ?? 0) > 0) fields.push(`procs_rejected=${snapshot.pidsEventsMax}`);

  return fields.length === 0 ? undefined : `${suffix}: ${fields.join(" ")}`;
}
