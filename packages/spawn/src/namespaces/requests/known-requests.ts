/**
 * Remembers the requests that have been decoded. Spawners send the same requests again and again,
 * so most datagrams need not be checked and decoded anew: the same bytes give the same result.
 */
import {
  type DecodedRequest,
  decodeRequest,
  encodeResponse,
  NAMESPACE_KINDS,
  type NamespaceKind,
  payloadOf,
  type Request,
} from "@cm4all/spawn-protocol";

/** The maximum number of requests that are kept. Together with MAX_BYTES it limits the memory. */
const MAX_REQUESTS = 4096;

/** Longer datagrams are not kept, but decoded each time. */
const MAX_BYTES = 512;

/** The offset of the checksum in a datagram. The checksum is the key of a known request. */
const CHECKSUM_OFFSET = 4;

/** A namespace that a request asks for. */
interface Wanted {
  readonly kind: NamespaceKind;
  readonly payload: Uint8Array;
}

/** A request, and the parts that are the same in each answer to it. */
export interface PreparedRequest {
  readonly request: Request;
  /** The namespaces in the order of the answer's descriptors; a lease comes after them. */
  readonly namespaces: readonly Wanted[];
  readonly response: Uint8Array;
  /** Room for an answer's descriptors; every answer overwrites those of the previous answer. */
  readonly fds: number[];
}

/** A decoded datagram: a DecodedRequest whose request is prepared. */
export interface KnownRequest {
  /** Undefined if the datagram asks for nothing and so gets no answer. */
  readonly prepared: PreparedRequest | undefined;
  readonly unknownCommands: readonly number[];
}

interface Known {
  readonly bytes: Buffer;
  readonly request: KnownRequest;
}

export class KnownRequests {
  readonly #known = new Map<number, Known>();

  /**
   * Decodes a datagram. The result may be returned again later, so callers must not change it.
   * @param bytes the buffer with the datagram at its start
   * @throws ProtocolError if the datagram is malformed
   */
  decode(bytes: Buffer, length: number): KnownRequest {
    if (length > MAX_BYTES || length < CHECKSUM_OFFSET + 4)
      return prepare(decodeRequest(bytes, length));
    const checksum = bytes.readUInt32LE(CHECKSUM_OFFSET);
    const known = this.#known.get(checksum);
    // The checksum alone proves nothing: it is easy to make another datagram with the same
    // checksum.
    if (known !== undefined && isEqual(bytes, length, known.bytes)) return known.request;
    // The payloads in the result are views of the bytes, so the bytes are copied.
    const copy = Buffer.from(bytes.subarray(0, length));
    const request = prepare(decodeRequest(copy));
    if (this.#known.size >= MAX_REQUESTS) this.#known.clear();
    this.#known.set(checksum, { bytes: copy, request });
    return request;
  }
}

function prepare({ request, unknownCommands }: DecodedRequest): KnownRequest {
  if (request === undefined) return { prepared: undefined, unknownCommands };
  const namespaces = NAMESPACE_KINDS.flatMap(({ kind }) => {
    const payload = payloadOf(request, kind);
    return payload === undefined ? [] : [{ kind, payload }];
  });
  const fds = new Array<number>(namespaces.length + (request.lease ? 1 : 0)).fill(-1);
  const response = encodeResponse(request);
  return { prepared: { request, namespaces, response, fds }, unknownCommands };
}

/**
 * Returns whether the datagram equals `known`. For few bytes this is faster than Buffer.compare,
 * which calls C++.
 */
function isEqual(bytes: Buffer, length: number, known: Buffer): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== known[i]) return false;
  return true;
}
