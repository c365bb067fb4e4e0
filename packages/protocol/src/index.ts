export * from "./commands.ts";
export { encodeDatagram, type Packet, PacketReader } from "./datagram.ts";
export { ProtocolError, type ProtocolErrorKind } from "./errors.ts";
export {
  checkName,
  type DecodedRequest,
  decodeRequest,
  decodeUserMaps,
  encodeRequest,
  encodeUserMaps,
  type Request,
  type UserMaps,
} from "./request.ts";
export {
  decodeResponse,
  encodeError,
  encodeResponse,
  type Response,
  type ResponseContents,
} from "./response.ts";
