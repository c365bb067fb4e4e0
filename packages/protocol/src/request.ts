/** Requests: what a client asks for, and the rules that the service checks. */
import { MAX_NAME_SIZE, RequestCommand } from "./commands.ts";
import { encodeDatagram, type Packet, PacketReader } from "./datagram.ts";
import { ProtocolError, type ProtocolErrorKind } from "./errors.ts";

/** What is asked for under one name; at least one of the four. */
export interface Request {
  /** 1 to 255 bytes from 0x20 to 0x7f. */
  readonly name: string;
  readonly ipc: boolean;
  readonly pid: boolean;
  /** The payload of USER_NAMESPACE (see `encodeUserMaps`); undefined: none is asked for. */
  readonly user: Uint8Array | undefined;
  readonly lease: boolean;
}

export interface DecodedRequest {
  /** Undefined where the datagram asks for nothing: it gets no answer. */
  readonly request: Request | undefined;
  /** In the order of the datagram; the same may stand twice. */
  readonly unknownCommands: readonly number[];
}

const COMMAND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(RequestCommand).map(([name, value]) => [value, name]),
);

/** Most requests hold no unknown command: they share this list. */
const NO_COMMANDS: readonly number[] = [];

/**
 * Decodes one request.
 *
 * @param bytes the buffer that holds the datagram from its start. `request.user` is a
 *   view of it: whoever reuses the buffer copies first.
 * @param length of the datagram, as PacketReader takes it
 * @throws ProtocolError. A mistake of framing anywhere in the datagram goes before
 *   mistakes in what was said, because it decides about the connection; among the
 *   latter the first one counts.
 */
export function decodeRequest(bytes: Uint8Array, length: number = bytes.length): DecodedRequest {
  const reader = new PacketReader(bytes, length);
  let name: string | undefined;
  let user: Uint8Array | undefined;
  let unknown: number[] | undefined;
  let mistake: ProtocolError | undefined;
  /** One bit for each known command that was there. */
  let seen = 0;

  while (reader.next()) {
    const { command } = reader;
    if (command === RequestCommand.NOP) continue;
    if (command > RequestCommand.LEASE_PIPE) {
      unknown ??= [];
      unknown.push(command);
      continue;
    }
    if ((seen & (1 << command)) !== 0) {
      mistake ??= complain("duplicate", reader, "stands twice");
      continue;
    }
    seen |= 1 << command;
    if (command === RequestCommand.NAME) {
      const problem = nameProblem(bytes, reader.start, reader.end);
      if (problem === undefined) name = latin1(bytes, reader.start, reader.end);
      else mistake ??= complain("malformed", reader, problem);
    } else if (command === RequestCommand.USER_NAMESPACE) {
      user = bytes.subarray(reader.start, reader.end);
    } else if (reader.start !== reader.end) {
      mistake ??= complain("malformed", reader, "takes no payload");
    }
  }
  if (mistake !== undefined) throw mistake;

  const unknownCommands = unknown ?? NO_COMMANDS;
  const ipc = (seen & (1 << RequestCommand.IPC_NAMESPACE)) !== 0;
  const pid = (seen & (1 << RequestCommand.PID_NAMESPACE)) !== 0;
  const lease = (seen & (1 << RequestCommand.LEASE_PIPE)) !== 0;
  if (!ipc && !pid && !lease && user === undefined) return { request: undefined, unknownCommands };
  if (name === undefined) throw new ProtocolError("missing", length, "NAME is missing");
  return { request: { name, ipc, pid, user, lease }, unknownCommands };
}

function complain(kind: ProtocolErrorKind, reader: PacketReader, problem: string): ProtocolError {
  const name = COMMAND_NAMES.get(reader.command) ?? String(reader.command);
  return new ProtocolError(kind, reader.offset, `${name} ${problem}`);
}

/** What is wrong with the name in `bytes[start..end)`, or undefined. */
function nameProblem(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start === end) return "is empty";
  if (end - start > MAX_NAME_SIZE) return `is longer than ${MAX_NAME_SIZE} bytes`;
  for (let i = start; i < end; ++i) {
    const byte = bytes[i];
    if (byte === undefined || byte < 0x20 || byte > 0x7f)
      return `holds a byte that is not allowed: 0x${byte?.toString(16).padStart(2, "0")}`;
  }
  return undefined;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString("latin1", start, end);
}

/** What is wrong with `name` as a NAME, or undefined: for checking before asking. */
export function checkName(name: string): string | undefined {
  const bytes = Buffer.from(name, "utf8");
  return nameProblem(bytes, 0, bytes.length);
}

/**
 * One request as a datagram.
 * @throws RangeError for a name that is not allowed or a request that asks for nothing
 */
export function encodeRequest(request: Request): Uint8Array {
  const problem = checkName(request.name);
  if (problem !== undefined) throw new RangeError(`NAME ${problem}`);
  const packets: Packet[] = [
    { command: RequestCommand.NAME, payload: Buffer.from(request.name, "latin1") },
  ];
  if (request.ipc) packets.push({ command: RequestCommand.IPC_NAMESPACE });
  if (request.pid) packets.push({ command: RequestCommand.PID_NAMESPACE });
  if (request.user !== undefined)
    packets.push({ command: RequestCommand.USER_NAMESPACE, payload: request.user });
  if (request.lease) packets.push({ command: RequestCommand.LEASE_PIPE });
  if (packets.length === 1) throw new RangeError("the request asks for nothing");
  return encodeDatagram(packets);
}

/** The texts for a user namespace's `uid_map` and `gid_map`; undefined: not written. */
export interface UserMaps {
  readonly uidMap: string | undefined;
  readonly gidMap: string | undefined;
}

/** The maps in a payload of USER_NAMESPACE. */
export function decodeUserMaps(payload: Uint8Array): UserMaps {
  const nul = payload.indexOf(0);
  const uidEnd = nul < 0 ? payload.length : nul;
  const gidStart = nul < 0 ? payload.length : nul + 1;
  return {
    uidMap: uidEnd === 0 ? undefined : latin1(payload, 0, uidEnd),
    gidMap: gidStart === payload.length ? undefined : latin1(payload, gidStart, payload.length),
  };
}

/**
 * A payload of USER_NAMESPACE. Namespaces are kept per payload, so equal maps have to
 * give equal bytes: there is no NUL byte where no `gid_map` follows.
 */
export function encodeUserMaps({ uidMap, gidMap }: Partial<UserMaps>): Uint8Array {
  const uid = uidMap ?? "";
  const gid = gidMap ?? "";
  return Buffer.from(gid === "" ? uid : `${uid}\0${gid}`, "latin1");
}
