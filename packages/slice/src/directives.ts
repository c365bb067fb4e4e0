/**
 * The directives of systemd.resource-control(5) that a slice can have: their grammar, and the
 * first version of systemd that has them. An older systemd ignores an unknown directive and logs a
 * warning.
 *
 * `CPUAccounting=` is left out: it has no effect on cgroup2, and newer versions of systemd warn
 * about it.
 *
 * @see systemd.resource-control(5) and systemd's NEWS for the versions
 */
import {
  boolean,
  bytesPerSecond,
  cpuQuota,
  cpuWeight,
  type Grammar,
  indices,
  ioWeight,
  memory,
  oneOf,
  operationsPerSecond,
  perDevice,
  pressureLimit,
  tasks,
  timeSpan,
  weight,
} from "./grammar.ts";

export interface Directive {
  readonly name: string;
  readonly grammar: Grammar;
  /** The first version of systemd that has the directive. */
  readonly since: number;
  /** True if the directive is given once per block device, as `DEVICE VALUE`. */
  readonly perDevice: boolean;
  /** True if the value is yes or no. */
  readonly boolean: boolean;
}

/** The systemd of Debian 12, the oldest supported one. */
export const OLDEST_SYSTEMD = 252;

const limit = memory({ zero: false, percent: true });
const protection = memory({ zero: true, percent: true });
const zswap = memory({ zero: true, percent: false });
/** systemd's CPU sets have at most 8192 CPUs, and the kernel has at most 1024 memory nodes. */
const cpus = indices("CPUs", 8191);
const nodes = indices("memory nodes", 1023);

const once: [name: string, since: number, grammar: Grammar][] = [
  ["CPUWeight", 232, cpuWeight],
  ["StartupCPUWeight", 232, cpuWeight],
  ["CPUQuota", 213, cpuQuota],
  ["CPUQuotaPeriodSec", 242, timeSpan("from 1ms to 1s", 1000, 1_000_000)],
  ["AllowedCPUs", 244, cpus],
  ["StartupAllowedCPUs", 250, cpus],
  ["AllowedMemoryNodes", 244, nodes],
  ["StartupAllowedMemoryNodes", 250, nodes],
  ["MemoryAccounting", 208, boolean],
  ["MemoryMin", 240, protection],
  ["MemoryLow", 231, protection],
  ["StartupMemoryLow", 254, protection],
  ["DefaultMemoryMin", 243, protection],
  ["DefaultMemoryLow", 243, protection],
  // systemd 257 refuses 0 here, although its manual page allows it.
  ["DefaultStartupMemoryLow", 254, limit],
  ["MemoryHigh", 231, limit],
  ["StartupMemoryHigh", 254, limit],
  ["MemoryMax", 231, limit],
  ["StartupMemoryMax", 254, limit],
  ["MemorySwapMax", 232, protection],
  ["StartupMemorySwapMax", 254, protection],
  ["MemoryZSwapMax", 253, zswap],
  ["StartupMemoryZSwapMax", 254, zswap],
  ["MemoryZSwapWriteback", 256, boolean],
  ["TasksAccounting", 227, boolean],
  ["TasksMax", 227, tasks],
  ["IOAccounting", 230, boolean],
  ["IOWeight", 230, weight],
  ["StartupIOWeight", 230, weight],
  ["ManagedOOMSwap", 247, oneOf("auto", "kill")],
  ["ManagedOOMMemoryPressure", 247, oneOf("auto", "kill")],
  ["ManagedOOMMemoryPressureLimit", 247, pressureLimit],
  ["ManagedOOMMemoryPressureDurationSec", 257, timeSpan("1s or more", 1_000_000)],
  ["ManagedOOMPreference", 248, oneOf("none", "avoid", "omit")],
];

const manyTimes: typeof once = [
  ["IODeviceWeight", 230, ioWeight],
  ["IOReadBandwidthMax", 230, bytesPerSecond],
  ["IOWriteBandwidthMax", 230, bytesPerSecond],
  ["IOReadIOPSMax", 230, operationsPerSecond],
  ["IOWriteIOPSMax", 230, operationsPerSecond],
  ["IODeviceLatencyTargetSec", 240, perDevice(timeSpan("1us or more", 1))],
];

function toDirective([name, since, grammar]: (typeof once)[number], perDevice: boolean): Directive {
  return { name, since, grammar, perDevice, boolean: grammar === boolean };
}

/** The directives, in their order in a unit. */
export const directives: readonly Directive[] = [
  ...once.map((row) => toDirective(row, false)),
  ...manyTimes.map((row) => toDirective(row, true)),
];

const byName = new Map(directives.map((directive) => [directive.name, directive]));

/** Thrown for a value that is not allowed, or a directive that does not exist. */
export class DirectiveError extends Error {
  override readonly name = "DirectiveError";
  /** The message without the directive's name before it. */
  readonly problem: string;

  constructor(directive: string, problem: string) {
    const shown = /^[!-~]+$/.test(directive) ? directive : JSON.stringify(directive);
    super(`${shown}: ${problem}`);
    this.problem = problem;
  }
}

/** Finds a directive. @throws DirectiveError for a name that is not in the table */
export function findDirective(name: string): Directive {
  const directive = byName.get(name);
  if (directive !== undefined) return directive;
  const similar = directives.find((known) => known.name.toLowerCase() === name.toLowerCase());
  const hint =
    similar === undefined
      ? '"cm4all-slice directives" lists the known ones'
      : `did you mean ${similar.name}?`;
  throw new DirectiveError(name, `not a known directive for slices; ${hint}`);
}

/**
 * Returns the value for a unit.
 * @throws DirectiveError for a value that the directive's grammar does not allow
 */
export function parseValue(directive: Directive, text: string): string {
  const { name, grammar } = directive;
  // No grammar should allow control characters. A newline would start another line of the unit.
  const value = /\p{Cc}/u.test(text) ? undefined : grammar.parse(text);
  if (value !== undefined) return value;
  throw new DirectiveError(name, `${JSON.stringify(text)} is not allowed; use ${grammar.allowed}`);
}
