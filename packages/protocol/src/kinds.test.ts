import { expect, it } from "vitest";
import { MAX_DATAGRAM_SIZE } from "./commands.ts";
import { forEachKind, KINDS, MAX_RESPONSE_DESCRIPTORS, NAMESPACE_KINDS } from "./kinds.ts";

it("the kinds and their titles are in the order of the descriptors", () => {
  expect(NAMESPACE_KINDS.map(({ kind, title }) => [kind, title])).toEqual([
    ["ipc", "IPC"],
    ["pid", "PID"],
    ["user", "user"],
  ]);
});

it("forEachKind returns a record with a value for each kind", () => {
  expect(forEachKind(({ title }) => title.length)).toEqual({ ipc: 3, pid: 3, user: 4 });
  expect(KINDS.pid).toBe(NAMESPACE_KINDS[1]);
});

it("an answer with everything fits into the buffers of existing clients", () => {
  expect(MAX_RESPONSE_DESCRIPTORS).toBe(4);
  expect(MAX_DATAGRAM_SIZE).toBe(32_768);
});
