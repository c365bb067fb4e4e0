import { closeSync, fstatSync, openSync } from "node:fs";
import { Fd } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { DescriptorCache } from "./descriptor-cache.ts";

const open = () => new Fd(openSync("/dev/null", "r"));

const mustNotOpen = (): Fd => {
  throw new Error("opened again");
};

describe("a cache of handles", () => {
  it("opens once, and closes the least recently used", () => {
    const cache = new DescriptorCache<object>(2);
    const [a, b, c] = [{}, {}, {}];
    const first = cache.get(a, open);
    const second = cache.get(b, open);
    expect(cache.get(a, mustNotOpen)).toBe(first);
    // b was used before a.
    cache.get(c, () => {
      expect(fstatSync(second).isCharacterDevice()).toBe(true);
      return open();
    });
    expect(cache.size).toBe(2);
    expect(() => fstatSync(second)).toThrow("EBADF");
    expect(cache.get(a, mustNotOpen)).toBe(first);
    for (const key of [a, c]) cache.delete(key);
    expect(() => fstatSync(first)).toThrow("EBADF");
  });

  it("keeps nothing where opening fails, and forgets what is deleted", () => {
    const cache = new DescriptorCache<object>(2);
    const key = {};
    expect(() => cache.get(key, mustNotOpen)).toThrow("opened again");
    expect(cache.size).toBe(0);
    const fd = open();
    cache.add(key, fd);
    cache.delete(key);
    cache.delete(key);
    expect(fd.isOpen).toBe(false);
    // The number was given up once: whoever got it since keeps it.
    const next = openSync("/dev/null", "r");
    cache.delete(key);
    expect(fstatSync(next).isCharacterDevice()).toBe(true);
    closeSync(next);
  });
});
