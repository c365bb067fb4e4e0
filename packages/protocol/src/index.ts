export * from "./commands.ts";
export { encodeDatagram, type Packet, PacketReader } from "./datagram.ts";
export { ProtocolError, type ProtocolErrorKind } from "./errors.ts";
export {
  type Choice,
  forEachKind,
  KINDS,
  MAX_RESPONSE_DESCRIPTORS,
  NAMESPACE_KINDS,
  type NamespaceKind,
} from "./kinds.ts";
export {
  type DecodedRequest,
  decodeRequest,
  decodeUserMaps,
  encodeRequest,
  encodeUserMaps,
  findNameProblem,
  payloadOf,
  type Request,
} from "./request.ts";
export {
  decodeResponse,
  encodeError,
  encodeResponse,
  type Response,
} from "./response.ts";
