import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ArrayElement, decodeArray, joinElements, NULL, quoteElement } from "./array.ts";
import { formatServerMessage } from "./message.ts";
import { cutAtNul, decodeUtf8, encodeUtf8, numberToParameter } from "./values.ts";

describe("numberToParameter", () => {
  it.each([
    [0, "0"],
    [-0, "-0"],
    [0.1, "0.1"],
    [1 / 3, "0.3333333333333333"],
    [1e15, "1000000000000000"],
    [2 ** 53, "9007199254740992"],
    [1e16, "1e+16"],
    [12345678901234568, "1.2345678901234568e+16"],
    [2 ** 63, "9.223372036854776e+18"],
    [1e22, "1e+22"],
    [1e-4, "0.0001"],
    [1e-5, "1e-05"],
    [1e300, "1e+300"],
    [5e-324, "5e-324"],
    [Number.POSITIVE_INFINITY, "inf"],
    [Number.NEGATIVE_INFINITY, "-inf"],
    [Number.NaN, "nan"],
    [5 * 1024 ** 3, "5368709120"],
    [-42.5, "-42.5"],
  ])("%d is %s", (n, text) => {
    expect(numberToParameter(n)).toBe(text);
  });
});

describe("text", () => {
  it("ends at NUL", () => {
    expect([cutAtNul("a\0b"), cutAtNul("ab"), cutAtNul("\0")]).toEqual(["a", "ab", ""]);
  });
  it("is UTF-8", () => {
    expect(encodeUtf8(decodeUtf8("\xc3\xa4\xe2\x82\xac"))).toBe("\xc3\xa4\xe2\x82\xac");
    expect(() => decodeUtf8("ok \xff")).toThrow(
      'ERROR:  invalid byte sequence for encoding "UTF8": 0xff\n',
    );
    expect(() => decodeUtf8("\xc3(")).toThrow(
      'ERROR:  invalid byte sequence for encoding "UTF8": 0xc3 0x28\n',
    );
  });

  it("is refused with an error that shows its first invalid bytes, wherever they are", () => {
    // The invalid bytes are before, across or after the end of a block of 4096 bytes.
    for (let before = 4090; before < 4102; before++)
      for (const valid of ["x".repeat(before), "ä".repeat(before), "x€".repeat(before)])
        for (const [bytes, shown] of [
          ["\xff.", "0xff"],
          ["\xe2\x82(", "0xe2 0x82 0x28"],
          ["\x80\x80\x80\x80\x80\x80", "0x80"],
          ["\xe2", "0xe2"],
        ] as const)
          expect(() => decodeUtf8(encodeUtf8(valid) + bytes)).toThrow(
            `ERROR:  invalid byte sequence for encoding "UTF8": ${shown}\n`,
          );
  });
});

describe("the array codec", () => {
  it.each([
    ["", []],
    ["{}", []],
    ['{"c\\"d","e\\\\f",""}', ['c"d', "e\\f", ""]],
    ["{ a , b }", [" a ", " b "]],
    ["{a\\b}", ["a\\b"]],
    ["{a}x,y}", ["a}x", "y"]],
    ["{,}", ["", ""]],
    ["{a,}", ["a", ""]],
    ["{NULL}", [NULL]],
    ['{"NULL",null}', ["NULL", "null"]],
    [
      "{{1,2},{3,4}}",
      [
        ["1", "2"],
        ["3", "4"],
      ],
    ],
    ['{{{"}"}},{{x}}}', [[["}"]], [["x"]]]],
    ["[0:1]={a,b}", ["a", "b"]],
    ["[1:1][2:3]={{a,b}}", [["a", "b"]]],
  ] satisfies [string, ArrayElement[]][])("decodes %s", (text, elements) => {
    expect(decodeArray(text)).toEqual(elements);
  });

  it.each([
    "a",
    " {}",
    "{",
    "{a",
    '{"a',
    '{"a"x}',
    "{a}x",
    "{}x",
    '{"x"}}',
    "{{a}",
    "[0:1]",
    "[0]={a}",
  ])("refuses %s", (text) => {
    expect(() => decodeArray(text)).toThrow(/^malformed array at character \d+: /);
  });

  it("reports the length of each part of an element before it keeps the part", () => {
    const lengths: number[] = [];
    decodeArray('{abc,"d\\\\ef",{NULL}}', (length) => lengths.push(length));
    expect(lengths).toEqual([3, 1, 3, 4]);
    const stop = () => {
      throw new RangeError("stop");
    };
    expect(() => decodeArray("{a}", stop)).toThrow("stop");
  });

  it("encodes elements in quotes", () => {
    expect(joinElements([])).toBe("{}");
    expect(joinElements(["a", 'q"\\', "", "1,2}\n"].map(quoteElement))).toBe(
      '{"a","q\\"\\\\","","1,2}\n"}',
    );
  });

  it("decodes the arrays that it has encoded", () => {
    const element = fc.oneof(fc.string(), fc.constant(NULL));
    fc.assert(
      fc.property(fc.array(element), (elements) => {
        const encoded = elements.map((text) => (text === NULL ? "NULL" : quoteElement(text)));
        expect(decodeArray(joinElements(encoded))).toEqual(elements);
      }),
    );
  });
});

describe("formatServerMessage", () => {
  const severity = "ERROR";
  it("shows the position", () => {
    expect(
      formatServerMessage(
        { severity, message: 'column "nocol" does not exist', position: "8" },
        "select nocol from t",
      ),
    ).toBe(
      'ERROR:  column "nocol" does not exist\nLINE 1: select nocol from t\n               ^\n',
    );
    expect(
      formatServerMessage({ severity, message: "m", position: "12" }, "select\n1,\n\tx\n"),
    ).toBe("ERROR:  m\nLINE 3:  x\n         ^\n");
  });
  it("shortens long lines around the position", () => {
    const long = `select ${"a, ".repeat(40)}bad${", b".repeat(40)}`;
    expect(formatServerMessage({ severity, message: "m", position: "128" }, long)).toBe(
      `ERROR:  m\nLINE 1: ...${long.slice(77, 137)}...\n${" ".repeat(61)}^\n`,
    );
    expect(formatServerMessage({ severity, message: "m", position: "8" }, long)).toBe(
      `ERROR:  m\nLINE 1: ${long.slice(0, 60)}...\n               ^\n`,
    );
  });
  it("shows the fields in libpq's order", () => {
    expect(
      formatServerMessage(
        {
          severity,
          message: "m",
          detail: "d",
          hint: "h",
          where: "w",
          internalQuery: "select x",
          internalPosition: "8",
        },
        "outer",
      ),
    ).toBe(
      "ERROR:  m\nLINE 1: select x\n               ^\nDETAIL:  d\nHINT:  h\nQUERY:  select x\nCONTEXT:  w\n",
    );
  });
});
