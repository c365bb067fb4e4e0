import { bytesOfLatin1 } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { DEFAULT_SCOPES, enterPlace, type Place, rootPlace, ScopeError } from "./scopes.ts";

/** Walks from the root to `path`, and returns the kind of place that it is. */
function kind(scopes: readonly string[], path: string): string | undefined {
  let place: Place | undefined = rootPlace(scopes);
  for (const name of path.split("/")) {
    place = enterPlace(place, bytesOfLatin1(name));
    if (place === undefined) return undefined;
  }
  return place.kind;
}

describe("scopes", () => {
  const cm4all = "system.slice/system-cm4all.slice";

  it.each([
    ["system.slice", "way"],
    [cm4all, "way"],
    [`${cm4all}/bp-spawn.scope`, "scope"],
    [`${cm4all}/bp-spawn.scope/a`, "cgroup"],
    [`${cm4all}/bp-spawn.scope/a/bp-spawn.scope/c`, "cgroup"],
    [`${cm4all}/lukko-spawn.scope`, "scope"],
    [`${cm4all}/workshop-spawn.scope`, "scope"],
    [`${cm4all}/openssh.scope`, "scope"],
    ["system.slice/cm4all-beng-spawn.scope", "scope"],
    ["system.slice/cm4all-workshop-spawn.scope", "scope"],
    ["system.slice/cm4all-openssh.scope/x", "cgroup"],
    [`${cm4all}/bp-spawnXscope`, undefined],
    [`${cm4all}/bp-spawn.scope2`, undefined],
    ["system.slice/ssh.service", undefined],
    ["user.slice", undefined],
    ["bp-spawn.scope", undefined],
  ])("%s by default: %s", (path, expected) => expect(kind(DEFAULT_SCOPES, path)).toBe(expected));

  it.each([
    ["a/*-spawn.scope", "a/bp-spawn.scope", "scope"],
    ["a/*-spawn.scope", "a/-spawn.scope", "scope"],
    ["a/*-spawn.scope", "a/bp-spawn.scope.d", undefined],
    ["a/*", "a/\n", "scope"],
    ["?.slice/x", "a.slice/x", "scope"],
    ["?.slice/x", ".slice/x", undefined],
    ["[ab].scope", "b.scope", "scope"],
    ["[!ab].scope", "b.scope", undefined],
    ["[!ab].scope", "c.scope", "scope"],
    ["[a-c]x", "bx", "scope"],
    ["[]]", "]", "scope"],
    ["[^]", "[^]", undefined],
    ["a+(b)", "a+(b)", "scope"],
    ["a[b", "a[b", "scope"],
    ["/a/b/", "a/b", "scope"],
    ["ä", "\xc3\xa4", "scope"],
  ])("%s and %j: %s", (scope, path, expected) => expect(kind([scope], path)).toBe(expected));

  it("takes the outer of two nested scopes", () => {
    expect(kind(["a/b/c", "a"], "a")).toBe("scope");
    expect(kind(["a/b/c", "a"], "a/b")).toBe("cgroup");
  });

  it("follows several patterns at once", () => {
    const scopes = ["a/*/c", "a/b/d"];
    expect(kind(scopes, "a/b/c")).toBe("scope");
    expect(kind(scopes, "a/b/d")).toBe("scope");
    expect(kind(scopes, "a/x/d")).toBeUndefined();
  });

  it.each(["", "/", "a//b", "../a", "a/./b", "a/**", "a/[z-a]"])("refuses %j", (scope) => {
    expect(() => rootPlace([scope])).toThrow(ScopeError);
  });
});
