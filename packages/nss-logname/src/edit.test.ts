import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { addService, removeService, splitAtService } from "./edit.ts";
import { findLine, NsswitchError, parseNsswitch } from "./nsswitch.ts";

const fixtures = join(import.meta.dirname, "../fixtures/nsswitch");
const distributions = readdirSync(fixtures).filter((name) => name.endsWith(".conf"));
const both = (passwd: string) => `${passwd}group: files\n`;

describe.each(distributions)("nsswitch.conf of %s", (name) => {
  const text = readFileSync(join(fixtures, name), "latin1");
  const added = addService(text);

  it("gets the service at the end of two lines", () => {
    const before = text.split("\n");
    const after = added.split("\n");
    expect(after).toHaveLength(before.length);
    const changed = after.filter((line, index) => line !== before[index]);
    expect(changed).toHaveLength(2);
    for (const line of changed) expect(line).toMatch(/^(passwd|group): .*[^ ] cm4all_logname$/);
  });

  it("does not change when the service is added again", () => {
    expect(addService(added)).toBe(added);
  });

  it("is the same as before, once the service is removed", () => {
    expect(removeService(added)).toBe(text);
    expect(removeService(text)).toBe(text);
  });
});

describe("addService", () => {
  it.each([
    ["passwd: files\n", "passwd: files cm4all_logname\n"],
    ["passwd:files\n", "passwd:files cm4all_logname\n"],
    ["passwd:\n", "passwd: cm4all_logname\n"],
    ["passwd:\tfiles\tsss\t\n", "passwd:\tfiles\tsss cm4all_logname\t\n"],
    ["passwd: files # of the host\n", "passwd: files cm4all_logname # of the host\n"],
    ["passwd: files\r\n", "passwd: files cm4all_logname\r\n"],
    ["passwd: compat [SUCCESS=return]\n", "passwd: compat [SUCCESS=return] cm4all_logname\n"],
    // Not last: moved to the end, without the actions in the bracket after it.
    ["passwd: cm4all_logname files\n", "passwd: files cm4all_logname\n"],
    ["passwd: a cm4all_logname [NOTFOUND=return] b\n", "passwd: a b cm4all_logname\n"],
    ["passwd: a cm4all_logname[NOTFOUND=return]b\n", "passwd: a b cm4all_logname\n"],
    ["passwd: a cm4all_logname b cm4all_logname\n", "passwd: a b cm4all_logname\n"],
    // Last already.
    ["passwd: files   cm4all_logname\n", "passwd: files   cm4all_logname\n"],
  ])("puts the service last in %j", (line, expected) => {
    expect(addService(both(line))).toBe(`${expected}group: files cm4all_logname\n`);
  });

  it("adds a missing newline at the end, because glibc ignores a line without a newline", () => {
    expect(addService("passwd: files\ngroup: files")).toBe(
      "passwd: files cm4all_logname\ngroup: files cm4all_logname\n",
    );
    expect(addService("passwd: files cm4all_logname\ngroup: files cm4all_logname")).toBe(
      "passwd: files cm4all_logname\ngroup: files cm4all_logname\n",
    );
    expect(addService("hosts: dns")).toBe(
      "hosts: dns\npasswd: files cm4all_logname\ngroup: files cm4all_logname\n",
    );
  });

  it("adds a missing line, with the service `files` that glibc uses by default", () => {
    expect(addService("")).toBe("passwd: files cm4all_logname\ngroup: files cm4all_logname\n");
    expect(addService("# empty\n\npasswd: sss\n")).toBe(
      "# empty\n\npasswd: sss cm4all_logname\ngroup: files cm4all_logname\n",
    );
  });

  it.each([
    ["[NOTFOUND=return]", "NOTFOUND"],
    ["[UNAVAIL=return]", "UNAVAIL"],
    ["[TRYAGAIN=return]", "TRYAGAIN"],
    ["[!SUCCESS=return]", "NOTFOUND"],
    ["[!UNAVAIL=return]", "NOTFOUND"],
  ])("refuses to put the service where %s would hide it", (bracket, status) => {
    const message = `passwd: "sss ${bracket}" ends the search on ${status}, so cm4all_logname after it would be hidden; nothing was changed`;
    for (const line of [
      `passwd: sss ${bracket} files`,
      `passwd: files sss ${bracket}`,
      // Even if somebody has already put the service there by hand.
      `passwd: files sss ${bracket} cm4all_logname`,
    ]) {
      expect(() => addService(`\n${line}\ngroup: files\n`)).toThrow(
        expect.objectContaining({ line: 2, message }),
      );
    }
    expect(() => addService(`passwd: files\ngroup: sss ${bracket}\n`)).toThrow(/^group: /);
  });

  it("refuses to put the service where it could override a real account", () => {
    for (const bracket of ["[SUCCESS=continue]", "[!NOTFOUND=continue]"])
      expect(() => addService(both(`passwd: sss ${bracket} files\n`))).toThrow(/override/);
  });

  it.each([
    ["#!/bin/sh\nif true; then\n", /line of nsswitch\.conf/],
    ['{\n  "passwd": "files"\n}\n', /line of nsswitch\.conf/],
    ["root:x:0:0:root:/root:/bin/sh\nsomething\n", /line of nsswitch\.conf/],
  ])("refuses %j, which is not an nsswitch.conf", (text, message) => {
    expect(() => addService(text)).toThrow(message);
  });

  it("keeps unknown lines next to known ones", () => {
    const text = "what is this\npasswd: files\nsudoers: files [x]\ngroup: files\n";
    expect(removeService(addService(text))).toBe(text);
  });
});

describe("removeService", () => {
  it.each([
    ["passwd: files cm4all_logname\n", "passwd: files\n"],
    ["passwd: cm4all_logname files\n", "passwd: files\n"],
    ["passwd: cm4all_logname\n", "passwd:\n"],
    ["passwd: files cm4all_logname # x\n", "passwd: files # x\n"],
    ["passwd: files\tcm4all_logname\t[NOTFOUND=return]\tsss\n", "passwd: files\tsss\n"],
    ["passwd: a cm4all_logname[NOTFOUND=return]b\n", "passwd: a b\n"],
    ["passwd: a cm4all_logname[NOTFOUND=return]cm4all_logname[X=y]b\n", undefined],
    ["passwd: a cm4all_logname[NOTFOUND=return]cm4all_logname[UNAVAIL=return]b\n", "passwd: a b\n"],
    ["passwd: a [NOTFOUND=return]cm4all_logname b\n", "passwd: a [NOTFOUND=return] b\n"],
    ["passwd: cm4all_logname2 xcm4all_logname\n", "passwd: cm4all_logname2 xcm4all_logname\n"],
  ])("takes the service out of %j", (line, expected) => {
    if (expected === undefined) expect(() => removeService(both(line))).toThrow(NsswitchError);
    else expect(removeService(both(line))).toBe(both(expected));
  });

  it("changes nothing if the service is not there", () => {
    for (const text of ["", "passwd: files", "passwd: sss [NOTFOUND=return] files\n", "garbage"])
      expect(removeService(text)).toBe(text);
  });
});

describe("any file that is understood", () => {
  const gap = fc.constantFrom(" ", "  ", "\t", " \t ");
  const action = fc.constantFrom(
    "",
    "[SUCCESS=return]",
    "[SUCCESS=merge]",
    "[NOTFOUND=continue]",
    "[ !success=continue ]",
  );
  const service = fc
    .tuple(
      gap,
      fc.constantFrom("files", "sss", "systemd", "compat"),
      fc.constantFrom("", " "),
      action,
    )
    .map(([before, name, between, bracket]) => before + name + (bracket && between + bracket));
  const tail = fc.constantFrom("", " ", "\t", " # a comment", "\r", "\t#");
  const line = (database: string) =>
    fc
      .tuple(fc.array(service, { minLength: 1, maxLength: 4 }), tail)
      .map(([all, end]) => `${database}:${all.join("")}${end}\n`);
  const other = fc.constantFrom("", "\n", "# x\n", "hosts: a [!UNAVAIL=return] b\n", "é\u00a0\n");
  const file = fc
    .tuple(other, line("passwd"), other, line("group"), other)
    .map((parts) => parts.join(""));

  it("gets the service last and only once, and is the same as before once the service is removed", () => {
    fc.assert(
      fc.property(file, (text) => {
        const added = addService(text);
        expect(addService(added)).toBe(added);
        expect(removeService(added)).toBe(text);
        for (const database of ["passwd", "group"] as const) {
          const found = findLine(parseNsswitch(added), database);
          expect(found && splitAtService(found)?.behind).toEqual([]);
        }
      }),
    );
  });
});
