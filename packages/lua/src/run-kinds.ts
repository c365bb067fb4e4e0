/**
 * The kinds of cgroups that a script is told of, a row for each. All else follows: which global
 * functions are looked for, and how the host says what a script has. Pure.
 */
interface RunKindRow {
  /** The global function that takes several in a list. */
  readonly list: string;
  /** The one that takes each alone; not called if the other is there. */
  readonly one: string;
  /** Whether it is called only in scripts whose handlers bear repetition. */
  readonly needsRepetition: boolean;
}

export const RUN_KINDS = {
  /** With the figures of cgroups that ran empty. */
  released: { list: "cgroups_released", one: "cgroup_released", needsRepetition: false },
  /** Of those that go on. */
  running: { list: "cgroups_running", one: "cgroup_running", needsRepetition: true },
} as const satisfies Record<string, RunKindRow>;

export type RunKind = keyof typeof RUN_KINDS;

/** How a script takes cgroups of a kind: not at all, each alone, or several in a list. */
export type HandlerShape = "none" | "one" | "list";

/** What a script has defined. */
export interface Handlers extends Readonly<Record<RunKind, HandlerShape>> {
  /** Whether its handlers may be called again after they have taken effect. */
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
