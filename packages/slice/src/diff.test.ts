import { describe, expect, it } from "vitest";
import { unifiedDiff } from "./diff.ts";

describe("unifiedDiff", () => {
  it("shows a new file, a changed one and a removed one", () => {
    expect(unifiedDiff("/f", undefined, "a\n")).toBe(
      "--- /dev/null\n+++ /f\n@@ -0,0 +1,1 @@\n+a\n",
    );
    expect(unifiedDiff("/f", "a\nb\n", "a\nc\n")).toBe(
      "--- /f\n+++ /f\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n",
    );
    expect(unifiedDiff("/f", "a\n", undefined)).toBe(
      "--- /f\n+++ /dev/null\n@@ -1,1 +0,0 @@\n-a\n",
    );
  });

  it("is empty if nothing differs", () => {
    expect(unifiedDiff("/f", "a\n", "a\n")).toBe("");
  });
});
