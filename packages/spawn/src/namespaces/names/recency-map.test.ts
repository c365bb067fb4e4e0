import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { RecencyMap } from "./recency-map.ts";

const action = fc.record({
  kind: fc.constantFrom("set", "use", "delete"),
  key: fc.nat(5),
  value: fc.nat(9),
});

/** Applies the operation to a plain Map, in which a used key is deleted and set again. */
function apply(model: Map<number, number>, kind: string, key: number, value: number): unknown {
  const before = model.get(key);
  if (kind === "delete") return model.delete(key);
  if (kind === "use" && before === undefined) return undefined;
  model.delete(key);
  model.set(key, kind === "use" ? (before ?? 0) : value);
  return kind === "use" ? before : undefined;
}

describe("RecencyMap", () => {
  it("has the same entries in the same order as a Map in which used keys are set again", () => {
    fc.assert(
      fc.property(fc.array(action, { maxLength: 60 }), (actions) => {
        const model = new Map<number, number>();
        const map = new RecencyMap<number, number>();
        for (const { kind, key, value } of actions) {
          const result =
            kind === "set" ? map.set(key, value) : kind === "use" ? map.use(key) : map.delete(key);
          expect(result).toBe(apply(model, kind, key, value));
          expect([...map]).toEqual([...model]);
          expect(map.size).toBe(model.size);
          expect(map.oldest).toEqual([...model][0]);
          expect(map.get(key)).toBe(model.get(key));
        }
      }),
    );
  });
});
