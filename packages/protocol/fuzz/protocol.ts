/** Fuzzes the decoders for the datagrams of the namespace service, in both directions. */
import type { Subject } from "@cm4all/testing/fuzz";
import { DATAGRAM_HEADER_SIZE, MAX_DATAGRAM_SIZE } from "../src/commands.ts";
import { crc32 } from "../src/crc32.ts";
import { ProtocolError } from "../src/errors.ts";
import { decodeRequest, decodeUserMaps, encodeRequest } from "../src/request.ts";
import { decodeResponse } from "../src/response.ts";

/** Returns all properties as a string, which is the same for a Buffer and for a Uint8Array. */
const inspect = (value: object | undefined): string =>
  JSON.stringify(
    Object.entries(value ?? {}).map(([name, field]) => [
      name,
      ArrayBuffer.isView(field) ? [...(field as Uint8Array)] : field,
    ]),
  );

/** Returns the result of a reader; undefined if the reader refuses the input. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof ProtocolError) return undefined;
    throw error;
  }
}

/**
 * Returns the input with a correct checksum, without which hardly any input would be read beyond
 * its header.
 */
function sealed(input: Buffer): Buffer {
  const copy = Buffer.from(input);
  if (copy.length >= DATAGRAM_HEADER_SIZE)
    copy.writeUInt32LE(crc32(copy.subarray(DATAGRAM_HEADER_SIZE)), 4);
  return copy;
}

export const subject: Subject = {
  name: "protocol",
  tokens: [Buffer.from([0x73, 0x61, 0x04, 0x63]), Buffer.from([1, 0]), Buffer.from([5, 0]), "name"],
  read: (input) => {
    for (const bytes of [input, sealed(input)]) {
      const decoded = attempt(() => decodeRequest(bytes));
      if (decoded?.request !== undefined) {
        const again = decodeRequest(encodeRequest(decoded.request)).request;
        if (inspect(again) !== inspect(decoded.request)) throw new Error("another request");
      }
      attempt(() => decodeResponse(bytes));
      // The datagram is the beginning of a longer buffer.
      const longer = Buffer.concat([bytes, Buffer.alloc(MAX_DATAGRAM_SIZE, 0xff)]);
      const same = attempt(() => decodeRequest(longer, bytes.length));
      if (inspect(same?.request) !== inspect(decoded?.request))
        throw new Error("bytes after the datagram were read");
    }
    attempt(() => decodeUserMaps(input));
  },
};
