/** Strings are passed between a script and the system as bytes, unchanged. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { printedBy } from "./script.ts";

/** Returns the UTF-8 bytes of a text as a binary string. */
const latin1 = (text: string) => Buffer.from(text).toString("latin1");

describe("bytes", () => {
  it("come from the environment", async () => {
    process.env["LUA_TEST_TEXT"] = "ä🎉";
    try {
      expect(await printedBy("print(os.getenv('LUA_TEST_TEXT'))")).toBe(`${latin1("ä🎉")}\n`);
    } finally {
      delete process.env["LUA_TEST_TEXT"];
    }
  });

  it("reach commands, UTF-8 or not, and come back", async () => {
    for (const text of [latin1("Mü"), "M\xfc", "\x80\xff\x01", "it's \xe4 \\ $HOME"])
      expect(
        await printedBy(
          `local f = io.popen([[printf %s ']] .. [[${text.replaceAll("'", "'\\''")}]] .. "'") print(f:read("*a"))`,
        ),
      ).toBe(`${text}\n`);
  });

  it("name files in both commands and functions", async () => {
    const directory = mkdtempSync(join(tmpdir(), "lua-bytes-"));
    try {
      for (const name of [latin1("ä"), "M\xfc", "\xff"])
        expect(
          await printedBy(
            `local n = "${directory}/${name}" assert(os.execute("echo x > '" .. n .. "'") == 0) ` +
              "print(io.open(n):read()) assert(os.rename(n, n .. '2')) assert(os.remove(n .. '2'))",
          ),
        ).toBe("x\n");
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it("that are not UTF-8 come from the environment, and reach the environment of commands", () => {
    const directory = mkdtempSync(join(tmpdir(), "lua-bytes-"));
    try {
      const script = join(directory, "x.lua");
      writeFileSync(
        script,
        "io.write(os.getenv('BYTES'), os.getenv('B\xe4')) io.flush() " +
          "os.execute('printf %s \"$BYTES\"') io.write(io.popen('printf %s \"$BYTES\"'):read())",
        "latin1",
      );
      const program = join(import.meta.dirname, "../dist/lua.js");
      const environment = `"BYTES=$(printf '\\344\\377')" "$(printf 'B\\344')=x"`;
      const command = `env ${environment} '${process.execPath}' '${program}' '${script}'`;
      const { stdout, stderr } = spawnSync("/bin/sh", ["-c", command], { encoding: "latin1" });
      expect([stdout, stderr]).toEqual(["\xe4\xffx\xe4\xff\xe4\xff", ""]);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
