import { closeSync, fstatSync, openSync } from "node:fs";
import { Fd } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { DescriptorCache } from "./descriptor-cache.ts";

const open = () => new Fd(openSync("/dev/null", "r"));

describe("a cache of descriptors", () => {
  it("closes the least recently used", () => {
    const cache = new DescriptorCache<object>(2);
    const [a, b, c] = [{}, {}, {}];
    const first = cache.add(a, open());
    const second = cache.add(b, open());
    expect(cache.tryGet(a)).toBe(first);
    expect(fstatSync(second).isCharacterDevice()).toBe(true);
    // b was used less recently than a.
    cache.add(c, open());
    expect(cache.size).toBe(2);
    expect(() => fstatSync(second)).toThrow("EBADF");
    expect(cache.tryGet(b)).toBeUndefined();
    expect(cache.tryGet(a)).toBe(first);
    for (const key of [a, c]) cache.delete(key);
    expect(() => fstatSync(first)).toThrow("EBADF");
  });

  it("closes what is deleted", () => {
    const cache = new DescriptorCache<object>(2);
    const key = {};
    expect(cache.tryGet(key)).toBeUndefined();
    const fd = open();
    cache.add(key, fd);
    cache.delete(key);
    cache.delete(key);
    expect(fd.isOpen).toBe(false);
    // The cache has forgotten the number: it does not close another file that has it now.
    const next = openSync("/dev/null", "r");
    cache.delete(key);
    expect(fstatSync(next).isCharacterDevice()).toBe(true);
    closeSync(next);
  });
});
