/** Fuzzes HTTP requests for metrics. */
import { mkdtempSync, rmSync } from "node:fs";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subject } from "@cm4all/testing/fuzz";
import { Exposition } from "../src/prometheus/exposition.ts";
import { listenForMetrics } from "../src/prometheus/server.ts";
import { Allowance } from "../src/sockets/allowance.ts";
import { sampleStatus } from "../test/support/status.ts";
import { exchange } from "./support/exchange.ts";

const directory = mkdtempSync(join(tmpdir(), "fuzz-metrics-"));
const path = join(directory, "socket");
let server: Server | undefined;

const UNLIMITED = new Allowance(Number.MAX_SAFE_INTEGER, 1);

const exposition = new Exposition(async () => sampleStatus());

export const subject: Subject = {
  name: "metrics",
  tokens: [
    ..."GET POST HEAD CONNECT OPTIONS /metrics / * HTTP/1.1 HTTP/1.0 HTTP/2.0 Host: Upgrade:".split(
      " ",
    ),
    ..."Content-Length: Transfer-Encoding: chunked Expect: 100-continue Connection: keep-alive".split(
      " ",
    ),
    ...[" ", "\r\n", "\n", "0", "-1", "ffffffffffffffff", ":", ";", "\0", "\u00ff"],
  ],
  read: async (input) => {
    server ??= await listenForMetrics(path, exposition, UNLIMITED);
    const answer = await exchange(path, input);
    // The server's answer to a request, or Node's own answer to input that is not HTTP.
    if (answer !== "" && !/^HTTP\/1\.1 (100|200|400|404|408|413|414|417|431) /.test(answer))
      throw new Error(`an unexpected answer: ${answer.slice(0, 200)}`);
  },
  close: () => {
    server?.close();
    rmSync(directory, { recursive: true, force: true });
  },
};
