import { expect, it } from "vitest";
import { ProcStatField, parseProcStat } from "./proc-stat.ts";

const AFTER = "S 1 43 44 34816 46 4194304 100 0 0 0 14 15 16 17 20 0 1 0 123456 0 0\n";

it.each(["cat", "a b", "a) R 0 (b", ")", "("])("finds the fields after the name (%s)", (name) => {
  const text = `42 (${name}) ${AFTER}`;
  const { PGRP, TTY_NR, TPGID, UTIME, STIME, CUTIME, CSTIME, STARTTIME } = ProcStatField;
  const found = [PGRP, TTY_NR, TPGID, UTIME, STIME, CUTIME, CSTIME, STARTTIME].map((field) =>
    parseProcStat(text, field),
  );
  expect(found).toEqual([43, 34816, 46, 14, 15, 16, 17, 123456]);
});

it("throws if the field is missing", () => {
  expect(() => parseProcStat("42 (cat) S 1 2", ProcStatField.STARTTIME)).toThrow("no field 22");
  expect(() => parseProcStat("", ProcStatField.PGRP)).toThrow("no field 5");
});
