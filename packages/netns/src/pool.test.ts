import { tryParseIpPrefix } from "@cm4all/linux";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { endsOf, formatPrefix, overlaps, takeNetwork } from "./pool.ts";

const prefix = (text: string) => {
  const parsed = tryParseIpPrefix(text);
  if (parsed === undefined) throw new Error(text);
  return parsed;
};
const pool = (network: string, length: number) => ({ network: prefix(network), length });
const ends = (network: string) => {
  const { outside, inside } = endsOf(prefix(network));
  return [formatPrefix(outside), formatPrefix(inside)];
};

describe("takeNetwork", () => {
  it.each([
    ["10.213.0.0/24", 30],
    ["10.213.0.0/24", 31],
    ["fd00::/120", 126],
    ["fd12:3456:789a::/48", 126],
  ])("takes no network of %s twice, with length /%i", (network, length) => {
    const taken: ReturnType<typeof prefix>[] = [];
    for (let i = 0; i < 64; i++) {
      const found = takeNetwork(pool(network, length), `name${i}`, taken);
      if (found === undefined) throw new Error(`none for ${i}`);
      expect(taken.some((other) => overlaps(other, found))).toBe(false);
      expect(overlaps(prefix(network), found)).toBe(true);
      expect(found.prefixLength).toBe(length);
      taken.push(found);
    }
    if (network === "10.213.0.0/24" && length === 30)
      expect(takeNetwork(pool(network, length), "more", taken)).toBeUndefined();
  });

  it("gives a name the same network again if it is free", () => {
    const all = pool("10.213.0.0/16", 30);
    const first = takeNetwork(all, "web", []);
    expect(takeNetwork(all, "web", [])).toEqual(first);
    const second = takeNetwork(all, "web", first === undefined ? [] : [first]);
    expect(second).not.toEqual(first);
    expect(takeNetwork(all, "web", [], second)).toEqual(second);
    expect(takeNetwork(all, "web", second === undefined ? [] : [second], second)).toEqual(first);
    // The network that the name had before is of another pool, or of another length.
    expect(takeNetwork(all, "web", [], prefix("10.9.0.0/30"))).toEqual(first);
    expect(takeNetwork(all, "web", [], prefix("10.213.0.0/31"))).toEqual(first);
  });

  it("never overlaps networks that are taken", () => {
    const network = fc.tuple(fc.integer({ min: 0, max: 255 }), fc.integer({ min: 20, max: 32 }));
    fc.assert(
      fc.property(fc.array(network, { maxLength: 20 }), fc.string(), (routes, name) => {
        const taken = routes.map(([byte, length]) => prefix(`10.213.0.${byte}/${length}`));
        const found = takeNetwork(pool("10.213.0.0/24", 30), name, taken);
        if (found !== undefined) expect(taken.some((other) => overlaps(other, found))).toBe(false);
      }),
    );
  });
});

describe("endsOf", () => {
  it.each([
    ["10.0.0.4/30", "10.0.0.5/30", "10.0.0.6/30"],
    ["10.0.0.4/31", "10.0.0.4/31", "10.0.0.5/31"],
    ["10.0.0.252/30", "10.0.0.253/30", "10.0.0.254/30"],
    ["fd00::/126", "fd00::1/126", "fd00::2/126"],
    ["fd00::8/127", "fd00::8/127", "fd00::9/127"],
  ])("returns two addresses of %s: %s outside, %s inside", (network, outside, inside) => {
    expect(ends(network)).toEqual([outside, inside]);
  });
});
