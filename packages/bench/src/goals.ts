/** Collects the goals and the results of this run, for one table of all subjects. */

export interface Goal {
  readonly work: string;
  readonly ours: string;
  /** The same figure without the addon; undefined if it is not measured. */
  readonly without?: string | undefined;
  /** The floor's figure, or another one to compare with; undefined if there is none. */
  readonly floor?: string | undefined;
  readonly goal: string;
  readonly isMet: boolean;
}

const goals: Goal[] = [];

/** Notes a goal for the table at the end. */
export function note(goal: Goal): void {
  goals.push(goal);
}

/** The way in which a figure is shown. */
interface Shown {
  readonly unit?: string;
  readonly digits?: number;
  /** The same figure without the addon. */
  readonly without?: number | undefined;
  readonly floor?: string;
}

function noteFigure(
  work: string,
  value: number,
  bound: string,
  isMet: boolean,
  { unit = "", digits = 0, without, floor }: Shown = {},
): void {
  const shown = (figure: number) => figure.toFixed(digits) + unit;
  note({
    work,
    ours: shown(value),
    without: without === undefined ? undefined : shown(without),
    floor,
    goal: bound + unit,
    isMet,
  });
}

/** Notes a figure that should be at most `most`. */
export function noteAtMost(work: string, value: number, most: number, shown?: Shown): void {
  noteFigure(work, value, `at most ${most}`, value <= most, shown);
}

/** Notes a figure that should be at least `least`. */
export function noteAtLeast(work: string, value: number, least: number, shown?: Shown): void {
  noteFigure(work, value, `at least ${least}`, value >= least, shown);
}

/** Returns the goals that have been noted so far. */
export const noted = (): readonly Goal[] => goals;

/** Prints all goals that were noted, and marks those that were missed. */
export function printGoals(): void {
  if (goals.length === 0) return;
  const row = ([work = "", ...cells]: readonly string[], verdict: string) =>
    console.log(work.padEnd(48) + cells.map((cell) => cell.padStart(18)).join("") + verdict);
  console.log("\ngoals");
  row(["", "ours", "no addon", "floor", "goal"], "");
  for (const { work, ours, without = "", floor = "", goal, isMet } of goals)
    row([work, ours, without, floor, goal], isMet ? "" : "  MISSED");
}
