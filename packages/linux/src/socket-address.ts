/** Encodes addresses of AF_UNIX sockets. Pure. @see unix(7) */
import { ByteWriter } from "./bytes.ts";

export const AF_UNIX = 1;

/** The size of `sun_path`. */
const SUN_PATH_BYTES = 108;

/**
 * Returns the `struct sockaddr_un` for a path, or for an abstract name if `address` starts with
 * `@`: a NUL byte, then the name, without a trailing NUL.
 * @throws RangeError if the address is empty or too long
 */
export function encodeUnixAddress(address: string | Buffer): Buffer {
  const bytes = typeof address === "string" ? Buffer.from(address) : address;
  const isAbstract = bytes[0] === 0x40;
  // A path needs room for a NUL byte. An abstract name needs none: it ends where the address ends.
  const limit = isAbstract ? SUN_PATH_BYTES : SUN_PATH_BYTES - 1;
  if (bytes.length === 0 || bytes.length > limit)
    throw new RangeError(
      `a socket address must have 1 to ${limit} bytes, not ${bytes.length}: ${JSON.stringify(bytes.toString())}`,
    );
  const writer = new ByteWriter(2 + SUN_PATH_BYTES).u16(AF_UNIX);
  return isAbstract
    ? writer.u8(0).bytes(bytes.subarray(1)).finish()
    : writer.bytes(bytes).u8(0).finish();
}
