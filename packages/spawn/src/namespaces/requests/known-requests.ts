/**
 * Requests that came before. Spawners ask for the same again and again, so most datagrams
 * need not be checked and decoded anew: those with the same bytes say the same.
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

/** Bounds the memory, together with MAX_BYTES. */
const MAX_REQUESTS = 4096;

/** Longer ones are decoded each time. */
const MAX_BYTES = 512;

/** Where a datagram has its checksum, which finds it here. */
const CHECKSUM_OFFSET = 4;

/** A namespace that is asked for. */
interface Wanted {
  readonly kind: NamespaceKind;
  readonly payload: Uint8Array;
}

/** A request, and what is the same in each of its answers. */
export interface PreparedRequest {
  readonly request: Request;
  /** In the order of the answer's descriptors; a lease comes after them. */
  readonly namespaces: readonly Wanted[];
  readonly response: Uint8Array;
  /** A place for each descriptor of one answer. */
  readonly fds: number[];
}

/** As DecodedRequest. */
export interface KnownRequest {
  /** Undefined where the datagram asks for nothing: it gets no answer. */
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
   * Decodes a datagram. What it gives may be given again: never write to it.
   * @param bytes the buffer that holds it from its start
   * @throws ProtocolError
   */
  decode(bytes: Buffer, length: number): KnownRequest {
    if (length > MAX_BYTES || length < CHECKSUM_OFFSET + 4)
      return prepare(decodeRequest(bytes, length));
    const checksum = bytes.readUInt32LE(CHECKSUM_OFFSET);
    const known = this.#known.get(checksum);
    // The checksum alone proves nothing: anybody can make another datagram of it.
    if (known !== undefined && isEqual(bytes, length, known.bytes)) return known.request;
    // Payloads are views of the bytes.
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

/** Whether the datagram is `known`. For few bytes it is faster than Buffer.compare, a call of C++. */
function isEqual(bytes: Buffer, length: number, known: Buffer): boolean {
  if (known.length !== length) return false;
  for (let i = 0; i < length; i++) if (bytes[i] !== known[i]) return false;
  return true;
}
