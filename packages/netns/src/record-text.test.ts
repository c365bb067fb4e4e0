import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { undoPlainVeth } from "./plan.ts";
import { encodeRecord, type NamespaceRecord, parseRecord } from "./record-text.ts";

const record: NamespaceRecord = {
  state: "unfinished",
  pid: 7,
  bootId: "14773f37-ccc2-4040-9936-440f0710741c",
  cookie: "72371",
  inode: 4026532456,
  undo: [
    { kind: "return-link", link: "net1", parent: "eth1" },
    { kind: "delete-link", link: "net0" },
    { kind: "delete-namespace" },
  ],
  links: [
    { name: "net0", insideIndex: 2, outsideIndex: 7 },
    { name: "net1", original: { name: "eth1", up: true, mtuBytes: 1500 } },
  ],
  settings: [
    { path: "net/ipv4/conf/eth0/forwarding", value: "0", linkIndex: 3, ofAll: "0" },
    { path: "net/ipv4/conf/eth1/forwarding", value: "0" },
  ],
  pool: ["10.213.0.4/30"],
  publish: [{ hostPort: 8080, insidePort: 80, protocol: "tcp" }],
};

describe("encodeRecord and parseRecord", () => {
  it("return the record that was written", () => {
    expect(parseRecord(encodeRecord(record))).toEqual(record);
    const early = { ...record, inode: undefined };
    expect(parseRecord(encodeRecord(early))).toEqual(early);
  });

  it("ignore the rest of a longer record", () => {
    const longer = encodeRecord({ ...record, pid: 4194304 });
    const shorter = encodeRecord(record);
    expect(parseRecord(shorter + longer.slice(shorter.length))).toEqual(record);
  });

  it("do not accept a part of a record", () => {
    const text = encodeRecord(record);
    for (let length = 0; length < text.length - 1; length++)
      expect(parseRecord(text.slice(0, length))).toBeUndefined();
  });

  it("accept records of version 0.1", () => {
    const text = '{"state":"complete","pid":1,"bootId":"b","cookie":"9","linkIndex":5}';
    expect(parseRecord(text)).toMatchObject({
      state: "complete",
      undo: undoPlainVeth,
      links: [{ name: "net0", outsideIndex: 5 }],
    });
  });

  it.each([
    { undo: [{ kind: "delete-everything" }] },
    { undo: [{ kind: "delete-link" }] },
    { links: [{ insideIndex: 2 }] },
    { links: [{ name: "net0", outsideIndex: "7" }] },
    { settings: [{ path: "../../etc/passwd", value: "x" }] },
    { settings: [{ path: "net/ipv4/conf/../forwarding", value: "x" }] },
    { settings: [{ path: "net/ipv4/ip_forward", value: "1" }] },
    { settings: [{ path: "net/ipv4/conf/eth0/forwarding", value: "0", linkIndex: "3" }] },
    { pool: [1] },
    { publish: [{ hostPort: "80" }] },
  ])("refuse a record that was tampered with: %j", (change) => {
    expect(parseRecord(JSON.stringify({ ...record, ...change }))).toBeUndefined();
  });

  it.each(['"x"', "null", "{}", '{"state":"odd","pid":1,"bootId":"b","cookie":"c"}'])(
    "do not take %s for a record",
    (text) => {
      expect(parseRecord(text)).toBeUndefined();
    },
  );

  it("do not take random text for a record", () => {
    fc.assert(fc.property(fc.string(), (text) => parseRecord(text) === undefined));
  });
});
