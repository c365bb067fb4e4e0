import { describe, expect, it } from "vitest";
import type { Library } from "./libraries.ts";
import {
  type Circumstances,
  formatSections,
  reportAnswers,
  reportConfiguration,
  reportModule,
} from "./report.ts";

const library = (directory: string, architecture: string): Library => ({
  directory,
  path: `${directory}/file`,
  architecture,
});

describe("reportModule", () => {
  it("names each directory", () => {
    const libcs = [library("/usr/lib/a", "A"), library("/usr/lib/b", "B")];
    expect(reportModule({ libcs, modules: [library("/usr/lib/a", "A")] })).toMatchObject({
      isGood: true,
      lines: ["/usr/lib/a/file (A)", "missing for the C library in /usr/lib/b (B)"],
    });
    expect(reportModule({ libcs, modules: [library("/usr/lib/c", "C")] })).toMatchObject({
      isGood: false,
      lines: [
        "missing for the C library in /usr/lib/a (A)",
        "missing for the C library in /usr/lib/b (B)",
        "/usr/lib/c/file is for another architecture (C)",
      ],
    });
  });

  it("recognises a system without glibc", () => {
    const { isGood, lines } = reportModule({ libcs: [], modules: [] });
    expect(isGood).toBe(false);
    expect(lines).toEqual(["no libc.so.6; only glibc loads NSS modules"]);
  });
});

describe("reportConfiguration", () => {
  const report = (text: string | undefined) => reportConfiguration("/f", text);
  const good = "passwd: files cm4all_logname\ngroup: files cm4all_logname\n";

  it("is good when the service is last in both lines", () => {
    expect(report(good)).toMatchObject({
      isGood: true,
      lines: ["/f: passwd: cm4all_logname is last", "/f: group: cm4all_logname is last"],
    });
  });

  it.each([
    [undefined, "/f does not exist"],
    ["", "/f: passwd: cm4all_logname is missing"],
    ["passwd: files\n", "/f: passwd: cm4all_logname is missing"],
    ["passwd: cm4all_logname files\n", "/f: passwd: cm4all_logname is not last, so it can"],
    [
      "passwd: sss [NOTFOUND=return] cm4all_logname\n",
      '/f: passwd: "sss [NOTFOUND=return]" ends the search on NOTFOUND',
    ],
    ["passwd: cm4all_logname sss [NOTFOUND=return]\n", "/f: passwd: cm4all_logname is not last"],
    [
      "passwd: files cm4all_logname",
      "/f: passwd: the line does not end with a newline, so glibc ignores it",
    ],
    ["\npasswd: [\n", '/f:2: not understood: "["'],
    ["passwd: files\0\n", "/f: not a text file"],
  ])("is not good: %j", (text, expected) => {
    const { isGood, lines } = report(text);
    expect(isGood).toBe(false);
    expect(lines[0]).toContain(expected);
  });
});

describe("reportAnswers", () => {
  const fine: Circumstances = {
    hasModule: true,
    isConfigured: true,
    environmentProblem: undefined,
    hasNscd: false,
  };
  const entry = "alice:x:5:6:alice:/:/bin/sh";
  const report = (module?: string, programs?: string, circumstances: Partial<Circumstances> = {}) =>
    formatSections(
      reportAnswers([{ database: "passwd", id: 5, module, programs }], {
        ...fine,
        ...circumstances,
      }),
    );

  it("shows the answers, and real accounts", () => {
    expect(report(entry, entry)).toBe(
      `The module answers:\n  uid 5: ${entry}\nPrograms get:\n  uid 5: ${entry}`,
    );
    expect(report(entry, "bob:x:5:5:::")).toContain("uid 5: bob:x:5:5::: (from another service)");
  });

  it.each([
    [{ hasModule: false }, "it is missing"],
    [{ environmentProblem: "LOGNAME is not set" }, "LOGNAME is not set"],
    [{}, "the C library cannot load it"],
  ])("explains why the module has no answer: %j", (circumstances, reason) => {
    expect(report(undefined, undefined, circumstances)).toContain(`uid 5: nothing: ${reason}`);
  });

  it.each([
    [{ isConfigured: false }, "the configuration is not in place"],
    [{ hasNscd: true }, "nscd asks the module in its own process"],
    [{}, "the configuration was not read"],
  ])("explains why programs get no answer: %j", (circumstances, reason) => {
    expect(report(entry, undefined, circumstances)).toContain(`uid 5: nothing: ${reason}`);
    expect(report(undefined, undefined, circumstances)).toContain("no service knows it");
  });
});
