/** The command `status`: shows the cgroups of the slice, once or repeatedly. */
import { join } from "node:path";
import { CommandFailure, EX_UNAVAILABLE } from "@cm4all/command";
import { fileFailure } from "@cm4all/command/files";
import { watch } from "@cm4all/command/screen";
import { bytesOfText } from "@cm4all/linux/byte-string";
import { type CgroupNode, findCgroup2, tryReadTree } from "./cgroup.ts";
import { cgroupOf, sliceUnit } from "./name.ts";
import { checkUsage } from "./sources.ts";
import { type Earlier, formatStatus, toJson } from "./status.ts";

export interface StatusOptions {
  /** True to show the cgroups inside scopes and services, too. */
  readonly all?: boolean;
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly intervalMs: number;
  /** The mount point of cgroup2; by default, the one in the mount table. */
  readonly cgroupRoot?: string;
}

/** Shows the cgroups of a slice as a tree. @throws CommandFailure */
export async function status(name: string | undefined, options: StatusOptions): Promise<void> {
  const unit = checkUsage(() => sliceUnit(name));
  const root = options.cgroupRoot ?? findCgroup2();
  if (root === undefined) throw new CommandFailure("no cgroup2 is mounted here", EX_UNAVAILABLE);
  const directory = join(root, cgroupOf(unit));
  const descend = (child: string) => options.all === true || child.endsWith(".slice");
  const read = () => {
    try {
      return tryReadTree(bytesOfText(directory), unit, descend);
    } catch (error) {
      throw fileFailure(`cannot read ${directory}`, error);
    }
  };
  const inactive = `${unit} is not active: there is no ${directory}`;

  if (options.watch) {
    await watchTree(read, unit, inactive, options);
    return;
  }
  const tree = read();
  if (tree === undefined) throw new CommandFailure(inactive, EX_UNAVAILABLE);
  console.log(
    options.json
      ? JSON.stringify(toJson(tree), undefined, 2)
      : formatStatus(tree, { unicode: hasUnicode() }).join("\n"),
  );
}

async function watchTree(
  read: () => CgroupNode | undefined,
  unit: string,
  inactive: string,
  { json, intervalMs }: StatusOptions,
): Promise<void> {
  let last: { tree: CgroupNode; timeMs: number } | undefined;
  const fullScreen = process.stdout.isTTY && json !== true;

  const draw = () => {
    const timeMs = performance.now();
    const tree = read();
    const earlier: Earlier | undefined = last && {
      tree: last.tree,
      elapsedUsec: (timeMs - last.timeMs) * 1000,
    };
    last = tree && { tree, timeMs };
    if (json) return [JSON.stringify(tree === undefined ? {} : toJson(tree))];
    const time = new Date().toTimeString().slice(0, 8);
    const title = `${unit}  ${time}  every ${intervalMs / 1000}s${fullScreen ? ", q quits" : ""}`;
    const lines =
      tree === undefined
        ? [inactive]
        : formatStatus(tree, { unicode: hasUnicode(), earlier, watching: true });
    return [title, "", ...lines, ...(fullScreen ? [] : [""])];
  };
  await watch({ draw, intervalMs, fullScreen, input: process.stdin, output: process.stdout });
}

/** Returns true if the encoding of the locale is UTF-8. @see locale(7) */
function hasUnicode(): boolean {
  const { LC_ALL, LC_CTYPE, LANG } = process.env;
  return /utf-?8/i.test(LC_ALL || LC_CTYPE || LANG || "");
}
