import { isIPv4, isIPv6 } from "node:net";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  AF_INET6,
  formatIpAddress,
  prefixContains,
  tryParseIpAddress,
  tryParseIpPrefix,
} from "./ip-address.ts";

const again = (text: string) => {
  const address = tryParseIpAddress(text);
  return address && formatIpAddress(address);
};

describe("tryParseIpAddress and formatIpAddress", () => {
  it.each([
    ["10.0.5.1", "10.0.5.1"],
    ["255.255.255.255", "255.255.255.255"],
    ["::", "::"],
    ["::1", "::1"],
    ["1::", "1::"],
    ["FE80::1:0:0:2", "fe80::1:0:0:2"],
    ["fd00:0005::2", "fd00:5::2"],
    ["1:0:0:2:0:0:0:3", "1:0:0:2::3"],
    ["1:0:0:2:0:0:3:4", "1::2:0:0:3:4"],
    ["1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"],
    ["1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"],
    ["::ffff:10.0.5.1", "::ffff:a00:501"],
    ["64:ff9b::192.0.2.33", "64:ff9b::c000:221"],
  ])("%s is %s", (text, canonical) => {
    expect(again(text)).toBe(canonical);
  });

  it.each([
    "",
    "10.0.5",
    "10.0.5.256",
    "10.0.05.1",
    "10.0.5.1 ",
    "a.b.c.d",
    ":",
    ":::",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4::5:6:7:8",
    "1::2::3",
    "fe80::1%eth0",
    "12345::",
    "::10.0.5",
    "10.0.5.1::",
    "1:2:10.0.5.1:3:4:5:6",
  ])("refuses %j", (text) => {
    expect(tryParseIpAddress(text)).toBeUndefined();
  });

  it("agrees with Node on what is an address", () => {
    const characters = fc.constantFrom(..."0123456789abf:.:.:".split(""));
    fc.assert(
      fc.property(fc.string({ unit: characters, maxLength: 24 }), (text) => {
        expect(tryParseIpAddress(text) !== undefined).toBe(isIPv4(text) || isIPv6(text));
      }),
      { numRuns: 5000 },
    );
  });

  it("round-trips any IPv6 address", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        const text = formatIpAddress({ family: AF_INET6, bytes: Buffer.from(bytes) });
        expect(tryParseIpAddress(text)?.bytes).toEqual(Buffer.from(bytes));
      }),
    );
  });
});

describe("tryParseIpPrefix", () => {
  it.each([
    ["10.0.5.2/24", 24],
    ["0.0.0.0/0", 0],
    ["fd00::/128", 128],
  ])("reads %s", (text, length) => {
    expect(tryParseIpPrefix(text)?.prefixLength).toBe(length);
  });

  it.each(["10.0.5.2", "10.0.5.2/", "10.0.5.2/33", "::/129", "::/064", "::/1/2", "/24", "::/-1"])(
    "refuses %s",
    (text) => {
      expect(tryParseIpPrefix(text)).toBeUndefined();
    },
  );
});

describe("prefixContains", () => {
  it.each([
    ["10.0.5.2/24", "10.0.5.254", true],
    ["10.0.5.2/24", "10.0.6.1", false],
    ["10.0.5.2/23", "10.0.4.1", true],
    ["10.0.5.2/32", "10.0.5.2", true],
    ["10.0.5.2/32", "10.0.5.3", false],
    ["0.0.0.0/0", "192.0.2.1", true],
    ["0.0.0.0/0", "::1", false],
    ["fd00:5::2/65", "fd00:5::7fff:0:0:1", true],
    ["fd00:5::2/65", "fd00:5::8000:0:0:1", false],
  ])("%s, %s: %s", (network, host, expected) => {
    const prefix = tryParseIpPrefix(network);
    const address = tryParseIpAddress(host);
    if (prefix === undefined || address === undefined) throw new Error("bad test");
    expect(prefixContains(prefix, address)).toBe(expected);
  });
});
