/**
 * Tests with random input: whatever arrives, the decoders return a result or throw ProtocolError.
 */
import fc from "fast-check";
import { expect, it } from "vitest";
import { RequestCommand } from "./commands.ts";
import { encodeDatagram } from "./datagram.ts";
import { forEachKind } from "./kinds.ts";
import { decodeRequest, encodeRequest, type Request } from "./request.ts";
import { decodeResponse } from "./response.ts";
import { datagramOf, packet, problemOf } from "./testing.ts";

/** Noise, which is nearly always refused because of its magic number. */
const noise = fc.uint8Array({ maxLength: 200 });

/** Noise after a correct header. */
const noiseWithHeader = fc.uint8Array({ maxLength: 200 }).map((bytes) => datagramOf([...bytes]));

const KNOWN = Math.max(...Object.values(RequestCommand));

/** Well-formed packets in any order, with any payload, possibly truncated. */
const packets = fc
  .tuple(
    fc.array(
      fc.tuple(
        fc.oneof({ weight: 9, arbitrary: fc.integer({ min: 0, max: KNOWN + 1 }) }, fc.nat(0xffff)),
        fc.oneof(fc.constant(new Uint8Array(0)), fc.uint8Array({ maxLength: 20 })),
      ),
      { maxLength: 8 },
    ),
    fc.oneof({ weight: 4, arbitrary: fc.constant(0) }, fc.nat(12)),
  )
  .map(([list, cut]) => {
    const bytes = list.flatMap(([command, payload]) => packet(command, payload));
    return datagramOf(bytes.slice(0, Math.max(0, bytes.length - cut)));
  });

it("100,000 random datagrams give a result or a ProtocolError", { timeout: 120_000 }, () => {
  const outcomes = new Set<string>();
  fc.assert(
    fc.property(fc.oneof(noise, noiseWithHeader, { weight: 3, arbitrary: packets }), (bytes) => {
      // problemOf rethrows any other error, which fails the property.
      const problem = problemOf(() => {
        const { request } = decodeRequest(bytes);
        outcomes.add(request === undefined ? "nothing" : "request");
      });
      if (problem !== undefined) {
        outcomes.add(problem[0]);
        expect(problem[1]).toBeLessThanOrEqual(bytes.length);
      }
      problemOf(() => decodeResponse(bytes));
    }),
    { numRuns: 100_000 },
  );
  // The generators reach every outcome that small datagrams can have.
  expect([...outcomes].sort()).toEqual([
    "bad-magic",
    "duplicate",
    "malformed",
    "missing",
    "nothing",
    "request",
    "short",
    "truncated",
  ]);
});

it("any request survives a round trip", () => {
  const name = fc
    .array(fc.integer({ min: 0x20, max: 0x7f }), { minLength: 1, maxLength: 4080 })
    .map((bytes) => String.fromCharCode(...bytes));
  const payload = fc.option(fc.uint8Array({ maxLength: 300 }), { nil: undefined });
  const kinds = forEachKind(({ takesPayload }) => (takesPayload ? payload : fc.boolean()));
  const request = fc
    .record({ name, ...kinds, lease: fc.boolean() })
    .map((fields) => fields as Request)
    .filter(({ name: _, ...asked }) =>
      Object.values(asked).some((each) => (each ?? false) !== false),
    );
  fc.assert(
    fc.property(request, (wanted) => {
      expect(decodeRequest(encodeRequest(wanted))).toEqual({
        request: wanted,
        unknownCommands: [],
      });
    }),
  );
});

it("a flipped bit never goes unnoticed", () => {
  const bytes = encodeDatagram([{ command: 1, payload: Buffer.from("foo") }, { command: 2 }]);
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const bad = Uint8Array.from(bytes);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(problemOf(() => decodeRequest(bad))).toBeDefined();
    }),
  );
});
