/** The attributes of a measured cgroup, with the names and units that scripts see. Pure. */
import { figureEntries } from "./figures.ts";
import type { CgroupSnapshot } from "./snapshot.ts";

/** Returns an attribute's value; times are in seconds. */
type Attribute = (snapshot: CgroupSnapshot) => string | number | undefined;

function seconds(usec: number | undefined): number | undefined {
  return usec === undefined ? undefined : usec / 1e6;
}

const figureAttributes = figureEntries.map(([name, { attribute, unit }]): [string, Attribute] => [
  attribute,
  unit === "microseconds" ? (s) => seconds(s[name]) : (s) => s[name],
]);

/** All attributes but `path`, `parent` and `xattr`, which are not plain values. */
export const scriptAttributes: ReadonlyMap<string, Attribute> = new Map<string, Attribute>([
  ["id", (s) => s.id],
  ["report", (s) => s.report],
  ["btime", (s) => (s.birthMs === undefined ? undefined : Math.floor(s.birthMs / 1000))],
  ["age", (s) => (s.birthMs === undefined ? undefined : (s.measuredMs - s.birthMs) / 1000)],
  ["measured", (s) => s.measuredMs / 1000],
  ...figureAttributes,
  // An alias from the time of cgroup v1: old versions of the original daemon's manual use it in an
  // example.
  ["memory_max_usage", (s) => s.memoryPeakBytes],
]);
