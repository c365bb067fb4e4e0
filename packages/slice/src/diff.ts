import { createTwoFilesPatch, FILE_HEADERS_ONLY } from "diff";

/**
 * Returns a unified diff; an empty one if nothing differs.
 * @param before undefined if there is no file yet
 * @param after undefined if there will be no file
 */
export function unifiedDiff(
  path: string,
  before: string | undefined,
  after: string | undefined,
): string {
  if (before === after) return "";
  return createTwoFilesPatch(
    before === undefined ? "/dev/null" : path,
    after === undefined ? "/dev/null" : path,
    before ?? "",
    after ?? "",
    undefined,
    undefined,
    { context: 3, headerOptions: FILE_HEADERS_ONLY },
  );
}
