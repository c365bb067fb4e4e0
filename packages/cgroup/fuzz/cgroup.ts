/** Fuzzes the parsers for the files of cgroups, and for records of cgroups as JSON. */
import type { Subject } from "@cm4all/testing/fuzz";
import {
  parseCpuTotalUsec,
  parseFlatKeyed,
  parseIoStat,
  parsePopulated,
  parsePressureSomeUsec,
  parseSingleValue,
} from "../src/parse.ts";
import { tryParseRecord } from "../src/record.ts";

function checkNumber(value: number | undefined): void {
  // Infinity is allowed: it results only from more digits than the kernel's 64-bit figures have.
  if (value !== undefined && !(value >= 0)) throw new Error(`a figure of ${value}`);
}

export const subject: Subject = {
  name: "cgroup",
  tokens: [
    ..."usage_usec user_usec populated frozen 0 1 max rbytes= wbytes= some avg10=0.00".split(" "),
    ...["total=", "8:0", " ", "\n", "18446744073709551615", "-1", '{"snapshot":', '"xattrs":['],
  ],
  read: (input) => {
    const text = input.toString("latin1");
    for (const value of [parseSingleValue, parseCpuTotalUsec, parsePressureSomeUsec])
      checkNumber(value(text));
    for (const values of [parseFlatKeyed, parseIoStat])
      for (const value of values(text).values()) checkNumber(value);
    parsePopulated(text);
    const record = tryParseRecord(input.toString());
    if (record === undefined) return;
    const again = tryParseRecord(JSON.stringify(record));
    if (JSON.stringify(again) !== JSON.stringify(record))
      throw new Error("the record changes in a round trip");
  },
};
