import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addService } from "./edit.ts";
import { findLine, NsswitchError, parseNsswitch, printNsswitch } from "./nsswitch.ts";

const services = (text: string) =>
  findLine(parseNsswitch(text), "passwd")?.services.map(({ name, actions }) => ({
    name,
    ...actions,
  }));

const defaults = {
  SUCCESS: "return",
  NOTFOUND: "continue",
  UNAVAIL: "continue",
  TRYAGAIN: "continue",
};

describe("parseNsswitch", () => {
  it.each([
    ["passwd: files sss\n"],
    ["passwd:files sss\n"],
    ["  passwd\t:\tfiles\t\tsss  \n"],
    ["passwd: files sss # and a comment: ldap\n"],
    ["passwd: files sss\r\n"],
    ["passwd: files sss"],
    ["# passwd: ldap\nhosts: [\npasswd: files sss\npasswd_compat: nis\n"],
  ])("finds the services in %j", (text) => {
    expect(services(text)).toEqual([
      { name: "files", ...defaults },
      { name: "sss", ...defaults },
    ]);
  });

  it.each([
    ["[NOTFOUND=return]", { NOTFOUND: "return" }],
    ["[ notfound = Return ]", { NOTFOUND: "return" }],
    ["[NOTFOUND=return UNAVAIL=return]", { NOTFOUND: "return", UNAVAIL: "return" }],
    ["[SUCCESS=merge]", { SUCCESS: "merge" }],
    ["[!UNAVAIL=return]", { NOTFOUND: "return", TRYAGAIN: "return" }],
    ["[!SUCCESS=return]", { NOTFOUND: "return", UNAVAIL: "return", TRYAGAIN: "return" }],
    ["[!NOTFOUND=continue]", { SUCCESS: "continue" }],
    // The later criterion wins.
    ["[!SUCCESS=return NOTFOUND=continue]", { UNAVAIL: "return", TRYAGAIN: "return" }],
  ])("reads the actions %s", (bracket, expected) => {
    for (const gap of ["", " ", "\t "])
      expect(services(`passwd: files${gap}${bracket}${gap}sss\n`)).toEqual([
        { name: "files", ...defaults, ...expected },
        { name: "sss", ...defaults },
      ]);
  });

  it("accepts a line without services, and a file without lines", () => {
    expect(services("passwd:\n")).toEqual([]);
    expect(services("passwd: # files\n")).toEqual([]);
    expect(services("")).toBeUndefined();
    expect(services("hosts: files\n")).toBeUndefined();
    // The names of databases are in lower case.
    expect(services("Passwd: files\n")).toBeUndefined();
  });

  it.each([
    ["passwd files\n", 1, /no colon after passwd/],
    ["\npasswd\n", 2, /no colon after passwd/],
    ["passwd:: files\n", 1, /not understood: ":/],
    ["passwd: [NOTFOUND=return] files\n", 1, /not understood: "\[NOTFOUND/],
    ["passwd: files [NOTFOUND=return\n", 1, /not understood/],
    ["passwd: files ] sss\n", 1, /not understood: "\]/],
    ["passwd: files []\n", 1, /not understood: "\[\]"/],
    ["passwd: files [NOTFOUND]\n", 1, /not understood/],
    ["passwd: files [NOTFOUND=]\n", 1, /not understood/],
    ["passwd: files [NOTFOUND=continueSUCCESS=return]\n", 1, /not understood/],
    ["passwd: files [! NOTFOUND=return]\n", 1, /not understood/],
    ["passwd: files [NOTFOUND=return] [UNAVAIL=return] sss\n", 1, /not understood: "\[UNAVAIL/],
    ["passwd: files [MISSING=return]\n", 1, /unknown status: "MISSING"/],
    ["passwd: files [NOTFOUND=stop]\n", 1, /unknown action: "stop"/],
    ["passwd: files [toString=return]\n", 1, /unknown status/],
    ["passwd: files#comment\n", 1, /not understood: "#comment"/],
    ["passwd:#comment\n", 1, /not understood/],
    ["passwd: files # see [1]\n", 1, /a bracket in a comment/],
    ["passwd: a\ngroup: a\npasswd: b\n", 3, /a second passwd line, after line 1/],
    ["passwd: \u001b[31mred\n", 1, /not understood: "\[31mred"/],
  ])("refuses %j", (text, line, message) => {
    const parse = () => parseNsswitch(text);
    expect(parse).toThrow(message);
    expect(parse).toThrow(expect.objectContaining({ line }));
  });

  it("refuses anything but text", () => {
    expect(() => parseNsswitch("\u007fELF\0\0passwd: files\n")).toThrow(NsswitchError);
  });
});

describe("printNsswitch", () => {
  const word = fc.constantFrom(
    ..."passwd,group,:,files,sss,[NOTFOUND=return],[,],#, ,\t,\n,\r\n,=,!,\0,é,\u00a0".split(","),
    ",",
  );
  it("returns every byte of any text that was parsed", () => {
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const text = words.join("");
        try {
          expect(printNsswitch(parseNsswitch(text))).toBe(text);
        } catch (error) {
          if (!(error instanceof NsswitchError)) throw error;
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe("the time that an edit takes", () => {
  const MANY = 1_000_000;
  // With twice as much text, an edit must not take four times as long, or a megabyte
  // would take hours.
  it.each([
    ["blanks", `passwd: files${" ".repeat(MANY)}!\n`],
    ["blanks before a comment", `passwd: files${" ".repeat(MANY)}!#\n`],
    ["blanks in front", `${" ".repeat(MANY)}!\n`],
    ["blanks in a bracket", `passwd: files [NOTFOUND=return${" ".repeat(MANY)}!]\n`],
    ["blanks around an equals sign", `passwd: files [NOTFOUND${" ".repeat(MANY)}!=return]\n`],
    ["criteria", `passwd: files [${"NOTFOUND=return ".repeat(MANY / 16)}!]\n`],
    ["a word", `passwd: ${"x".repeat(MANY)}\n`],
    ["a word in a bracket", `passwd: files [${"x".repeat(MANY)}]\n`],
    ["unclosed brackets", `passwd: files ${"[".repeat(MANY)}\n`],
    ["services with unclosed brackets", `passwd: ${"a [".repeat(MANY / 3)}\n`],
    ["services", `passwd:${" a".repeat(MANY / 2)}\n`],
    ["lines", "\n".repeat(MANY)],
    ["strange lines", `${"x".repeat(MANY)}\n`],
    ["strange lines with blanks", `x${" ".repeat(MANY)}x\n`],
  ])("is linear in %s", (_, text) => {
    try {
      addService(text);
    } catch (error) {
      if (!(error instanceof NsswitchError)) throw error;
    }
  });
});
