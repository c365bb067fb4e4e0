import { constants } from "node:os";
import { expect, it } from "vitest";
import * as ours from "./errno.ts";

it("errnos have the numbers of the C library that Node is built with", () => {
  const theirs = new Map(Object.entries(constants.errno));
  expect(Object.entries(ours)).toEqual(Object.keys(ours).map((name) => [name, theirs.get(name)]));
});
