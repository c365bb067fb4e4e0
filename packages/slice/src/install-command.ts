/** The commands `install` and `remove`: plan, show or make the changes, and report them. */
import { openTree, type Tree } from "@cm4all/command/tree";
import { unifiedDiff } from "./diff.ts";
import {
  applyChange,
  type Change,
  isChange,
  listGenerated,
  planInstall,
  planRemove,
  UnitDirectory,
} from "./install.ts";
import { nestedName, sliceUnit } from "./name.ts";
import { checkUsage, makeUnits, type SourceOptions } from "./sources.ts";
import {
  ADMIN_UNIT_DIR,
  findOverridden,
  forgetUnread,
  isReadByRunningSystemd,
  noteUnread,
  reloadSystemd,
} from "./systemd.ts";

/** The options that `install` and `remove` share. */
export interface TargetOptions {
  readonly unitDir: string;
  readonly root?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
}

/** A directory tree, and the directory of its unit files. */
interface Target {
  readonly tree: Tree;
  readonly path: string;
  readonly directory: UnitDirectory;
}

function targetIn(tree: Tree, { unitDir }: TargetOptions): Target {
  const path = tree.resolve(unitDir);
  return { tree, path, directory: new UnitDirectory(tree, path) };
}

/** Writes the unit of one slice, or of all configured slices. @throws CommandFailure */
export async function install(
  name: string | undefined,
  options: TargetOptions & SourceOptions,
): Promise<void> {
  using tree = openTree(options.root);
  const units = await makeUnits(name, options, tree);
  const target = targetIn(tree, options);
  const { directory } = target;
  carryOut(planInstall(directory, units, { force: options.force ?? false }), target, options);
  if (name !== undefined) return;
  for (const unit of listGenerated(directory))
    if (!units.has(unit))
      console.error(
        `note: ${unit} is installed, but not configured; "cm4all-slice remove ${nestedName(unit)}" removes it`,
      );
}

/** Removes the unit of one slice, or all generated units. @throws CommandFailure */
export function remove(name: string | undefined, options: TargetOptions): void {
  const unit = checkUsage(() => sliceUnit(name));
  using tree = openTree(options.root);
  const target = targetIn(tree, options);
  const { directory } = target;
  const units = name === undefined ? [unit, ...listGenerated(directory)] : [unit];
  carryOut(planRemove(directory, units, { force: options.force ?? false }), target, options);
}

function carryOut(plan: readonly Change[], target: Target, options: TargetOptions): void {
  const isRead = !options.dryRun && isReadByRunningSystemd(options.root, target.path);
  const unread = isRead ? noteUnread(plan.filter(isChange).map(({ unit }) => unit)) : [];
  for (const change of plan) {
    // The standard output of a dry run is a diff and nothing else.
    if (!isChange(change)) (options.dryRun ? console.error : console.log)(tellUnchanged(change));
    else if (options.dryRun) process.stdout.write(diffOf(change));
    else {
      applyChange(target.directory, change);
      console.log(tellChange(change) + tellOverridden(change, target));
      if (change.before !== undefined && change.after !== undefined)
        process.stdout.write(diffOf(change));
    }
  }
  if (unread.length === 0) return;
  reloadSystemd(unread);
  forgetUnread();
  console.log("reloaded systemd");
}

function diffOf({ path, before, after }: Change): string {
  return unifiedDiff(path, before, after);
}

function tellUnchanged({ path, after }: Change): string {
  return after === undefined ? `${path} does not exist` : `unchanged ${path}`;
}

function tellChange({ path, before, after }: Change): string {
  if (after === undefined) return `removed ${path}`;
  return `${before === undefined ? "created" : "changed"} ${path}`;
}

/** Returns a remark if a unit begins or ceases to override a package's unit. */
function tellOverridden({ unit, before, after }: Change, { tree, path }: Target): string {
  if (path !== ADMIN_UNIT_DIR || (before !== undefined && after !== undefined)) return "";
  const overridden = findOverridden(tree, unit);
  if (overridden === undefined) return "";
  return after === undefined
    ? `; ${overridden} takes effect again`
    : `; it overrides ${overridden}`;
}
