import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { encodeRecord, type NamespaceRecord, parseRecord } from "./record.ts";

const record: NamespaceRecord = {
  state: "unfinished",
  pid: 7,
  bootId: "14773f37-ccc2-4040-9936-440f0710741c",
  cookie: "72371",
  linkIndex: 2,
};

describe("encodeRecord and parseRecord", () => {
  it("give back what was recorded", () => {
    expect(parseRecord(encodeRecord(record))).toEqual(record);
    const early = { ...record, linkIndex: undefined };
    expect(parseRecord(encodeRecord(early))).toEqual(early);
  });

  it("do not mind what a longer record has left", () => {
    const longer = encodeRecord({ ...record, pid: 4194304 });
    const shorter = encodeRecord(record);
    expect(parseRecord(shorter + longer.slice(shorter.length))).toEqual(record);
  });

  it("take no part for the whole", () => {
    const text = encodeRecord(record);
    for (let length = 0; length < text.length - 1; length++)
      expect(parseRecord(text.slice(0, length))).toBeUndefined();
  });

  it.each(['"x"', "null", "{}", '{"state":"odd","pid":1,"bootId":"b","cookie":"c"}'])(
    "do not take %s for a record",
    (text) => {
      expect(parseRecord(text)).toBeUndefined();
    },
  );

  it("survive any text", () => {
    fc.assert(fc.property(fc.string(), (text) => parseRecord(text) === undefined));
  });
});
