import { describe, expect, it } from "vitest";
import { IN_CREATE, IN_ISDIR, IN_Q_OVERFLOW, parseInotifyEvents } from "./inotify.ts";

const event = (wd: number, mask: number, name: string, pad: number) => {
  const bytes = Buffer.alloc(16 + pad);
  bytes.writeInt32LE(wd, 0);
  bytes.writeUInt32LE(mask >>> 0, 4);
  bytes.writeUInt32LE(pad, 12);
  bytes.write(name, 16, "latin1");
  return bytes;
};

describe("parseInotifyEvents", () => {
  it("reads several events, with and without a name", () => {
    const bytes = Buffer.concat([
      event(1, IN_CREATE | IN_ISDIR, "abc", 16),
      event(-1, IN_Q_OVERFLOW, "", 0),
      event(2, IN_CREATE, "\xff".repeat(16), 16),
    ]);
    expect(parseInotifyEvents(bytes)).toEqual([
      { wd: 1, mask: IN_CREATE | IN_ISDIR, name: "abc" },
      { wd: -1, mask: IN_Q_OVERFLOW, name: "" },
      { wd: 2, mask: IN_CREATE, name: "\xff".repeat(16) },
    ]);
  });

  it("refuses a truncated event", () => {
    expect(() => parseInotifyEvents(event(1, IN_CREATE, "abc", 16).subarray(0, 20))).toThrow(
      RangeError,
    );
  });
});
