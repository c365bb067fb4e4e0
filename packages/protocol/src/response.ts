/** Responses of the service. */
import { MAX_ERROR_SIZE, ResponseCommand } from "./commands.ts";
import { encodeDatagram, LITTLE_ENDIAN, type Packet, PacketReader } from "./datagram.ts";
import { ProtocolError } from "./errors.ts";
import { type Choice, NAMESPACE_KINDS } from "./kinds.ts";

/** The bit for the lease, after those for the kinds. */
const LEASE = 1 << NAMESPACE_KINDS.length;

/** All answers but ERROR. There are few, because an answer says only which descriptors it has. */
const handlesDatagrams = Array.from({ length: 2 * LEASE }, (_, bits) =>
  bits === 0 ? undefined : encodeHandles(bits),
);

function encodeHandles(bits: number): Uint8Array {
  const flags = NAMESPACE_KINDS.flatMap(({ flag }, i) => (bits & (1 << i) ? [flag] : []));
  const packets: Packet[] = [];
  if (flags.length > 0)
    packets.push({
      command: ResponseCommand.NAMESPACE_HANDLES,
      payload: new Uint8Array(Uint32Array.from(flags).buffer),
    });
  if (bits & LEASE) packets.push({ command: ResponseCommand.LEASE_PIPE });
  return encodeDatagram(packets);
}

/**
 * Returns the answer that carries `contents`. It is encoded only once and shared: do not write to
 * it.
 * @param contents may be a request: then the answer carries everything that the request asks for
 * @throws RangeError for an answer that carries nothing
 */
export function encodeResponse(contents: Choice & { readonly lease: boolean }): Uint8Array {
  let bits = contents.lease ? LEASE : 0;
  let bit = 1;
  for (const { kind } of NAMESPACE_KINDS) {
    const field = contents[kind];
    if (field !== undefined && field !== false) bits |= bit;
    bit <<= 1;
  }
  const datagram = handlesDatagrams[bits];
  if (datagram === undefined) throw new RangeError("the response carries nothing");
  return datagram;
}

/**
 * Encodes an ERROR. Each character that is not printable ASCII becomes `?`, because clients print
 * the text unchanged. A message that is too long is truncated.
 */
export function encodeError(message: string): Uint8Array {
  let text = message.replaceAll(/[^\x20-\x7e]/gu, "?");
  if (text.length > MAX_ERROR_SIZE) text = `${text.slice(0, MAX_ERROR_SIZE - 3)}...`;
  return encodeDatagram([{ command: ResponseCommand.ERROR, payload: Buffer.from(text, "latin1") }]);
}

export type Response =
  | { readonly kind: "error"; readonly message: string }
  | {
      readonly kind: "handles";
      /** The CLONE_NEW* flag of each namespace, in the order of the descriptors. */
      readonly namespaces: readonly number[];
      /** True if one more descriptor follows: the lease. */
      readonly lease: boolean;
    };

/**
 * Decodes an answer; unknown commands are ignored.
 * @param length the length of the datagram, as for PacketReader
 * @throws ProtocolError
 */
export function decodeResponse(bytes: Uint8Array, length: number = bytes.length): Response {
  const reader = new PacketReader(bytes, length);
  let message: string | undefined;
  let namespaces: readonly number[] | undefined;
  let lease = false;
  while (reader.next()) {
    const payload = bytes.subarray(reader.start, reader.end);
    switch (reader.command) {
      case ResponseCommand.ERROR:
        message ??= printable(payload);
        break;
      case ResponseCommand.NAMESPACE_HANDLES:
        if (namespaces !== undefined)
          throw new ProtocolError("duplicate", reader.offset, "NAMESPACE_HANDLES occurs twice");
        namespaces = decodeFlags(payload, reader.offset);
        break;
      case ResponseCommand.LEASE_PIPE:
        if (lease) throw new ProtocolError("duplicate", reader.offset, "LEASE_PIPE occurs twice");
        lease = true;
        break;
    }
  }
  if (message !== undefined) return { kind: "error", message };
  if (namespaces === undefined && !lease)
    throw new ProtocolError("missing", length, "the response says nothing");
  return { kind: "handles", namespaces: namespaces ?? [], lease };
}

function decodeFlags(payload: Uint8Array, offset: number): number[] {
  if (payload.length === 0 || payload.length % 4 !== 0)
    throw new ProtocolError(
      "malformed",
      offset,
      `NAMESPACE_HANDLES has ${payload.length} bytes: not one u32 for each namespace`,
    );
  const view = new DataView(payload.buffer, payload.byteOffset, payload.length);
  const flags: number[] = [];
  for (let i = 0; i < payload.length; i += 4) flags.push(view.getUint32(i, LITTLE_ENDIAN));
  return flags;
}

/** Returns a message in a form that is safe for a terminal, whoever wrote it. */
function printable(payload: Uint8Array): string {
  return new TextDecoder().decode(payload).replaceAll(/\p{C}/gu, "?");
}
