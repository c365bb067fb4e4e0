import { createServer } from "node:net";
import { expect, it } from "vitest";
import { logServerErrors } from "./server-errors.ts";

it("logs each kind of error once, and closes nothing", () => {
  const lines: string[] = [];
  const server = createServer();
  logServerErrors(server, "the metrics", (_, text) => lines.push(text));
  for (const code of ["EMFILE", "EMFILE", "ENFILE"])
    server.emit("error", Object.assign(new Error(`accept ${code}`), { code }));
  expect(lines).toEqual([
    "a connection to the metrics failed: accept EMFILE",
    "a connection to the metrics failed: accept ENFILE",
  ]);
});
