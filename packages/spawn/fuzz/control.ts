/** Fuzzes requests over the control socket. */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subject } from "@cm4all/testing/fuzz";
import type { ControlRequest } from "../src/control/commands.ts";
import { listenForControl } from "../src/control/server.ts";
import { exchange } from "./support/exchange.ts";

const directory = mkdtempSync(join(tmpdir(), "fuzz-control-"));
const path = join(directory, "socket");
let server: Server | undefined;

/** One request for each command. */
const REQUESTS: {
  readonly [Name in ControlRequest["command"]]: Omit<ControlRequest<Name>, "command">;
} = {
  status: {},
  "list-names": { after: "web", limit: 10 },
  "find-name": { name: "web" },
  reload: {},
  "purge-namespaces": { onlyIdle: true, names: ["web", "db"] },
  "list-records": { after: 7, limit: 10 },
  "find-records": { id: "1-2" },
  "retry-records": { numbers: "all" },
  "drop-records": { numbers: [1, 2] },
};

const requests = Object.entries(REQUESTS);

export const subject: Subject = {
  name: "control",
  tokens: [
    ...requests.flatMap(([command, fields]) =>
      [command, ...Object.keys(fields)].map((word) => JSON.stringify(word)),
    ),
    ...[
      '{"command":',
      ":",
      "}",
      "null",
      "true",
      "[",
      "]",
      ",",
      "\n",
      "\r\n",
      "1",
      "1e999",
      '"all"',
    ],
    ...['"__proto__"', '"constructor"'],
  ],
  samples: requests.map(([command, fields]) => `${JSON.stringify({ command, ...fields })}\n`),
  read: async (input) => {
    server ??= await listenForControl(
      path,
      async ({ command }) => ({ command }),
      () => {},
    );
    const answer = await exchange(path, input);
    if (answer === "") return;
    const value: unknown = JSON.parse(answer);
    if (typeof value !== "object" || value === null || !("command" in value || "error" in value))
      throw new Error(`an unexpected answer: ${answer}`);
  },
  close: () => {
    server?.close();
    rmSync(directory, { recursive: true, force: true });
  },
};
