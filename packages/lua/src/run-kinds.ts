/**
 * The kinds of cgroups that are passed to a script, a row for each. Everything else follows from
 * these rows: the global functions that are looked for, and how the script host reports which of
 * them a script defines. Pure.
 */
interface RunKindRow {
  /** The global function that takes several cgroups in a list. */
  readonly list: string;
  /** The global function that takes a single cgroup; not called if the one for lists is defined. */
  readonly one: string;
  /** True if these functions are called only in scripts whose handlers may be called again. */
  readonly needsRepetition: boolean;
}

export const RUN_KINDS = {
  /** Called with the figures of cgroups that have become empty. */
  released: { list: "cgroups_released", one: "cgroup_released", needsRepetition: false },
  /** Called with the figures of cgroups that are still running. */
  running: { list: "cgroups_running", one: "cgroup_running", needsRepetition: true },
} as const satisfies Record<string, RunKindRow>;

export type RunKind = keyof typeof RUN_KINDS;

/** How a script takes cgroups of a kind: not at all, each alone, or several in a list. */
export type HandlerShape = "none" | "one" | "list";

/** The handlers that a script has defined. */
export interface Handlers extends Readonly<Record<RunKind, HandlerShape>> {
  /** True if the handlers may be called again even after they have had effects. */
  readonly bearsRepetition: boolean;
}

/** Returns how a script takes each kind. @param shapeOf called once for each */
export function shapesOf(shapeOf: (kind: RunKind) => HandlerShape): Record<RunKind, HandlerShape> {
  const kinds = Object.keys(RUN_KINDS) as RunKind[];
  return Object.fromEntries(kinds.map((kind) => [kind, shapeOf(kind)])) as Record<
    RunKind,
    HandlerShape
  >;
}

export const NO_HANDLERS: Handlers = { ...shapesOf(() => "none"), bearsRepetition: false };
