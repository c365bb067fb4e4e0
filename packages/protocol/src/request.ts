/** Requests of clients, and the rules that the service checks. */
import type { IdMaps } from "@cm4all/linux";
import { MAX_NAME_SIZE, RequestCommand } from "./commands.ts";
import { encodeDatagram, type Packet, PacketReader } from "./datagram.ts";
import { ProtocolError, type ProtocolErrorKind } from "./errors.ts";
import {
  type Choice,
  forEachKind,
  type KindRow,
  NAMESPACE_KINDS,
  type NamespaceKind,
} from "./kinds.ts";

type PayloadKind = Extract<KindRow, { takesPayload: true }>["kind"];
type Payloads = { [Kind in PayloadKind]: Uint8Array | undefined };

/**
 * What a request asks for: for a kind with payloads, the payload (for USER, see `encodeUserMaps`);
 * for any other kind and for the lease, true or false.
 */
type Asked = { [Kind in Exclude<NamespaceKind, PayloadKind> | "lease"]: boolean } & Payloads;

/** A request for namespaces of one name, for a lease of it, or for both. */
export interface Request extends Readonly<Asked> {
  /** 1 to 4080 bytes from 0x20 to 0x7f. */
  readonly name: string;
}

export interface DecodedRequest {
  /** Undefined if the datagram asks for nothing, and so gets no answer. */
  readonly request: Request | undefined;
  /** The unknown commands in the order of the datagram; a command may occur more than once. */
  readonly unknownCommands: readonly number[];
}

/**
 * The kinds by command. Known commands have to be below 32, because `decodeRequest` keeps a bit for
 * each.
 */
const ROWS: readonly (KindRow | undefined)[] = Array.from(
  { length: 1 + Math.max(...Object.values(RequestCommand)) },
  (_, command) => NAMESPACE_KINDS.find((row) => row.command === command),
);

/**
 * The decoded requests for all combinations of packets, without names and payloads. The index of a
 * template has a bit for each command of the request. Copying a template for each datagram is
 * cheaper than setting each field.
 */
const TEMPLATES: readonly Request[] = Array.from({ length: 1 << ROWS.length }, (_, seen) => ({
  name: "",
  ...(forEachKind(({ command, takesPayload }) =>
    takesPayload ? undefined : isSeen(seen, command),
  ) as Asked),
  lease: isSeen(seen, RequestCommand.LEASE_PIPE),
}));

function isSeen(seen: number, command: number): boolean {
  return (seen & (1 << command)) !== 0;
}

const COMMAND_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(RequestCommand).map(([name, value]) => [value, name]),
);

const NO_PAYLOAD = new Uint8Array(0);

/** The list for a request without unknown commands, which most requests are. */
const NO_COMMANDS: readonly number[] = [];

/**
 * Decodes one request.
 *
 * @param bytes the buffer with the datagram at its start. `request.user` is a view of it, so copy
 *   it before the buffer is reused.
 * @param length the length of the datagram, as for PacketReader
 * @throws ProtocolError. A framing error anywhere in the datagram takes precedence over errors in
 *   the contents, because it makes the connection unusable. Of several errors in the contents, the
 *   first is reported.
 */
export function decodeRequest(bytes: Uint8Array, length: number = bytes.length): DecodedRequest {
  const reader = new PacketReader(bytes, length);
  let name: string | undefined;
  let payloads: Partial<Payloads> | undefined;
  let unknown: number[] | undefined;
  let mistake: ProtocolError | undefined;
  /** A bit for each known command in the datagram. */
  let seen = 0;

  while (reader.next()) {
    const { command } = reader;
    if (command === RequestCommand.NOP) continue;
    const row = ROWS[command];
    if (
      row === undefined &&
      command !== RequestCommand.NAME &&
      command !== RequestCommand.LEASE_PIPE
    ) {
      unknown ??= [];
      unknown.push(command);
      continue;
    }
    if (isSeen(seen, command)) {
      mistake ??= complain("duplicate", reader, "occurs twice");
      continue;
    }
    seen |= 1 << command;
    if (command === RequestCommand.NAME) {
      const problem = problemOf(bytes, reader.start, reader.end);
      if (problem === undefined) name = latin1(bytes, reader.start, reader.end);
      else mistake ??= complain("malformed", reader, problem);
    } else if (row?.takesPayload === true) {
      payloads ??= {};
      payloads[row.kind] = bytes.subarray(reader.start, reader.end);
    } else if (reader.start !== reader.end) {
      mistake ??= complain("malformed", reader, "takes no payload");
    }
  }
  if (mistake !== undefined) throw mistake;

  const unknownCommands = unknown ?? NO_COMMANDS;
  if ((seen & ~(1 << RequestCommand.NAME)) === 0) return { request: undefined, unknownCommands };
  if (name === undefined) throw new ProtocolError("missing", length, "NAME is missing");
  const request: Asked & { name: string } = { ...(TEMPLATES[seen] as Request) };
  request.name = name;
  if (payloads !== undefined) Object.assign(request, payloads);
  return { request, unknownCommands };
}

function complain(kind: ProtocolErrorKind, reader: PacketReader, problem: string): ProtocolError {
  const name = COMMAND_NAMES.get(reader.command) ?? String(reader.command);
  return new ProtocolError(kind, reader.offset, `${name} ${problem}`);
}

/** Describes the problem with the name in `bytes[start..end)`; undefined if there is none. */
function problemOf(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (start === end) return "is empty";
  if (end - start > MAX_NAME_SIZE) return `is longer than ${MAX_NAME_SIZE} bytes`;
  for (let i = start; i < end; ++i) {
    const byte = bytes[i];
    if (byte === undefined || byte < 0x20 || byte > 0x7f)
      return `contains a byte that is not allowed: 0x${byte?.toString(16).padStart(2, "0")}`;
  }
  return undefined;
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  const buffer = Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  return buffer.toString("latin1", start, end);
}

/** Describes the problem with `name` as a NAME; undefined if there is none. */
export function findNameProblem(name: string): string | undefined {
  const bytes = Buffer.from(name, "utf8");
  return problemOf(bytes, 0, bytes.length);
}

/**
 * Returns the payload of one kind in a request, or in another choice of kinds: empty for a kind
 * without payloads, undefined if the kind is not requested.
 */
export function payloadOf(choice: Choice, kind: NamespaceKind): Uint8Array | undefined {
  const field = choice[kind];
  if (field === true) return NO_PAYLOAD;
  return field === false ? undefined : field;
}

/**
 * Encodes a request; a field that is left out requests nothing.
 * @throws RangeError if the name is not allowed, nothing is requested, or a payload is too long for
 *   a packet
 */
export function encodeRequest(
  request: Partial<Readonly<Asked>> & { readonly name: string },
): Uint8Array {
  const problem = findNameProblem(request.name);
  if (problem !== undefined) throw new RangeError(`NAME ${problem}`);
  const packets: Packet[] = [
    { command: RequestCommand.NAME, payload: Buffer.from(request.name, "latin1") },
  ];
  for (const { kind, command } of NAMESPACE_KINDS) {
    const payload = payloadOf(request, kind);
    if (payload !== undefined) packets.push({ command, payload });
  }
  if (request.lease === true) packets.push({ command: RequestCommand.LEASE_PIPE });
  if (packets.length === 1) throw new RangeError("the request asks for nothing");
  return encodeDatagram(packets);
}

/** Returns the maps in a payload of USER_NAMESPACE. */
export function decodeUserMaps(payload: Uint8Array): IdMaps {
  const nul = payload.indexOf(0);
  const uidEnd = nul < 0 ? payload.length : nul;
  const gidStart = nul < 0 ? payload.length : nul + 1;
  return {
    uidMap: uidEnd === 0 ? undefined : latin1(payload, 0, uidEnd),
    gidMap: gidStart === payload.length ? undefined : latin1(payload, gidStart, payload.length),
  };
}

/**
 * Encodes a payload of USER_NAMESPACE. User namespaces are looked up by payload, so equal maps have
 * to give equal bytes: there is no NUL byte if there is no `gid_map`.
 */
export function encodeUserMaps({ uidMap, gidMap }: Partial<IdMaps>): Uint8Array {
  const uid = uidMap ?? "";
  const gid = gidMap ?? "";
  return Buffer.from(gid === "" ? uid : `${uid}\0${gid}`, "latin1");
}
