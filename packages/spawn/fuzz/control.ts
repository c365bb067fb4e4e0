/** Fuzzes requests over the control socket. */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subject } from "@cm4all/testing/fuzz";
import { listenForControl } from "../src/control/server.ts";
import { exchange } from "./support/exchange.ts";

const directory = mkdtempSync(join(tmpdir(), "fuzz-control-"));
const path = join(directory, "socket");
let server: Server | undefined;

export const subject: Subject = {
  name: "control",
  tokens: [
    ...'{"command": "status" "purge-namespaces" "onlyIdle":true "accounting-list" } null'.split(
      " ",
    ),
    ...[",", "\n", "\r\n", '"__proto__"', '"constructor"', "[", '"id":', '"limit":', "1e999"],
  ],
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
      throw new Error(`a strange answer: ${answer}`);
  },
  close: () => {
    server?.close();
    rmSync(directory, { recursive: true, force: true });
  },
};
