import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { endAllNames, inodesOf } from "../tools/names.ts";
import { sh } from "../tools/shell.ts";
import { initPids, journalCursor, mainPid, SERVICE } from "../tools/systemd.ts";

const PAGE = "/usr/share/man/man7/cm4all-spawn-troubleshooting.7.gz";

export const leftOver: Case = {
  title: "at a restart, systemd warns only about the inits, twice about each, as the manual says",
  async run({ slowness }) {
    await endAllNames(slowness);
    for (const name of ["a", "b"]) inodesOf(name);
    const inits = initPids();
    assert.equal(inits.length, 2);
    const cursor = journalCursor();
    const pid = mainPid();
    sh(`systemctl restart ${SERVICE}`);
    assert.notEqual(mainPid(), pid);
    assert.deepEqual(initPids(), inits);
    const lines = sh(
      `journalctl -u ${SERVICE} _PID=1 -o cat --no-pager --after-cursor='${cursor}'`,
    );
    const told = [...lines.matchAll(/^\S+: (.*process) (\d+) (\(.*?)(?:\.| Ignoring\.)*$/gm)];
    assert.deepEqual(
      told.map(([, , init]) => Number(init)).sort((a, b) => a - b),
      inits.flatMap((init) => [init, init]).sort((a, b) => a - b),
    );
    const page = sh(`zcat ${PAGE}`)
      .replace(/^\.RI /gm, "")
      .replaceAll("\\ ", " ")
      .replaceAll("\\-", "-");
    for (const [, before = "", , after = ""] of told)
      for (const words of [before, after]) assert.ok(page.includes(words), words);
    await endAllNames(slowness);
  },
};
