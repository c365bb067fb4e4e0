import assert from "node:assert/strict";
import type { Case } from "../case.ts";
import { sh } from "../tools/shell.ts";
import { SERVICE } from "../tools/systemd.ts";

export const readableJournal: Case = {
  title: "the systemd journal has readable lines, with priorities, under the program's name",
  run() {
    const entries = sh(`journalctl -u ${SERVICE} _TRANSPORT=stdout -o json --no-pager`)
      .split("\n")
      .map((line): unknown => JSON.parse(line));
    assert.ok(entries.length > 0);
    const priorities = new Set<string>();
    for (const entry of entries) {
      const { MESSAGE, PRIORITY, SYSLOG_IDENTIFIER } = entry as Record<string, unknown>;
      // journald returns an array of bytes for a message that it does not consider text.
      assert.equal(typeof MESSAGE, "string");
      assert.doesNotMatch(String(MESSAGE), /^<\d>|^\s|^$/);
      assert.equal(SYSLOG_IDENTIFIER, "cm4all-spawn");
      priorities.add(String(PRIORITY));
    }
    assert.ok(priorities.size > 1, `priorities: ${[...priorities]}`);
  },
};
