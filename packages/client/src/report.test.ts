import { expect, it } from "vitest";
import { formatJson, formatText } from "./report.ts";

const inodes = { ipc: 4026532301, lease: 77 };

it("prints a line for each handle", () => {
  expect(formatText(inodes)).toBe("ipc   4026532301\nlease 77\n");
});

it("prints JSON", () => {
  expect(formatJson('a "b"', inodes)).toBe('{"name":"a \\"b\\"","ipc":4026532301,"lease":77}\n');
});
