import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { expect, it } from "vitest";
import { TestScript } from "./script.ts";

/** Writes a number, and the next one when the first has been read, or after 3 s. */
const WRITER = `exec >"$0/pipe"; echo 12; i=0
while [ ! -e "$0/seen" ] && [ $i -lt 60 ]; do sleep 0.05; i=$((i + 1)); done
if [ -e "$0/seen" ]; then echo 34; else echo "not seen"; fi`;

it("read('*n') waits for no more of a pipe than the number and the character after it", async () => {
  const directory = mkdtempSync("/tmp/lua-io-");
  expect(spawnSync("mkfifo", [`${directory}/pipe`]).status).toBe(0);
  const writer = spawn("sh", ["-c", WRITER, directory], { stdio: "ignore" });
  const ended = once(writer, "exit");
  try {
    using script = new TestScript(
      `local f = assert(io.open('${directory}/pipe'))
       local first = f:read('*n')
       io.open('${directory}/seen', 'w'):close()
       print(first, f:read('*n'))`,
    );
    expect(script.printed).toBe("12\t34\n");
  } finally {
    await ended;
    rmSync(directory, { recursive: true });
  }
});
