/** Checks that a namespace is still as `up` made it. Pure. */
import type { Link } from "@cm4all/linux";
import { isPair } from "./holdings.ts";
import type { NamespaceRecord } from "./record-text.ts";
import { tableName } from "./rules.ts";

export interface Present {
  readonly inside: readonly Link[];
  readonly hostLinks: readonly Link[];
  /** The names of the host's nftables tables; undefined if nft(8) cannot list them. */
  readonly tables: ReadonlySet<string> | undefined;
  /** True if the name below /run/netns leads to the namespace. */
  readonly attached: boolean;
}

/** Returns a line for each missing part. */
export function findProblems(
  name: string,
  { state, links, undo }: NamespaceRecord,
  { inside, hostLinks, tables, attached }: Present,
): string[] {
  if (state !== "complete") return [];
  if (!attached) return ["the namespace has lost its name, or is gone"];
  const problems: string[] = [];
  for (const { name: link, insideIndex, outsideIndex } of links) {
    const found =
      insideIndex === undefined
        ? inside.find((one) => one.name === link)
        : inside.find(({ index }) => index === insideIndex);
    if (found === undefined) problems.push(`the link ${link} is gone`);
    else if (outsideIndex !== undefined && !hostLinks.some((end) => isPair(end, found)))
      problems.push(`the host's end of ${link} is no longer on the host`);
  }
  if (undo.some(({ kind }) => kind === "delete-table")) {
    if (tables === undefined)
      problems.push("nft(8) fails, so it is unknown whether the table exists");
    else if (!tables.has(tableName(name)))
      problems.push(`the nftables table ${tableName(name)} is gone`);
  }
  return problems;
}
