/** Makes bytes for tests, without the encoder that is tested. */
import { endianness } from "node:os";
import { crc32 } from "node:zlib";
import { ProtocolError } from "./errors.ts";
import { forEachKind } from "./kinds.ts";
import type { Request } from "./request.ts";

/** The fields of a request that asks for nothing, without the name. */
export const NOTHING = {
  ...forEachKind(({ takesPayload }) => (takesPayload ? undefined : false)),
  lease: false,
} as Omit<Request, "name">;

/** Returns `values` as bytes in the machine's byte order. */
export function hostOrder(type: "u16" | "u32", ...values: number[]): number[] {
  const size = type === "u16" ? 2 : 4;
  return values.flatMap((value) => {
    const bytes = Array.from({ length: size }, (_, i) => Math.floor(value / 256 ** i) % 256);
    return endianness() === "LE" ? bytes : bytes.reverse();
  });
}

/** Returns a packet with its padding. */
export function packet(command: number, payload: Iterable<number> = []): number[] {
  const bytes = [...payload];
  const padding = new Array((4 - (bytes.length % 4)) % 4).fill(0);
  return [...hostOrder("u16", bytes.length, command), ...bytes, ...padding];
}

/** Returns a datagram with a correct header before `packets`, which may be any bytes. */
export function datagramOf(packets: number[]): Uint8Array {
  const sum = crc32(Uint8Array.from(packets));
  return Uint8Array.from([...hostOrder("u32", 0x63046173, sum), ...packets]);
}

/** Returns kind and offset of the ProtocolError that `run` throws; rethrows any other error. */
export function problemOf(run: () => unknown): [string, number] | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    if (error instanceof ProtocolError) return [error.kind, error.offset];
    throw error;
  }
}
