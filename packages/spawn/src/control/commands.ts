/**
 * The requests that the running daemon answers on its control socket. Each kind of request has one
 * definition, with its fields and its answer.
 */
import { CommandFailure, EX_UNAVAILABLE } from "@cm4all/command";
import type { AccountingRecords } from "../accounting/terms/records.ts";
import type { NamespaceThread } from "../namespaces/thread.ts";
import type { DaemonStatus } from "../status/status.ts";

/** The parts of the daemon that answer requests. */
export interface DaemonParts {
  readonly namespaces: NamespaceThread;
  /** Undefined if the daemon has no journal, because it reaps no cgroups. */
  readonly accounting: AccountingRecords | undefined;
  status(): Promise<DaemonStatus>;
  /**
   * Reads the configuration again.
   * @throws CommandFailure (rejects) if the configuration or the script cannot be used
   */
  reload(): Promise<ReloadResult>;
}

/** The changes that a successful reload has not applied. */
export interface ReloadResult {
  /** Keys that have changed since the daemon was started, and that only a restart applies. */
  readonly waitsForRestart: readonly string[];
  /** True if the script was changed after it was loaded. */
  readonly isScriptOutdated: boolean;
}

/** The definition of a request. `Answer` is a type that JSON can represent. */
interface ControlCommand<Fields extends object, Answer> {
  /**
   * Returns the command's fields from a request; other fields are ignored. Pure.
   * @throws Error if a field has the wrong type
   */
  readonly parse: (request: object) => Fields;
  readonly answer: (daemon: DaemonParts, fields: Fields) => Promise<Answer>;
}

function define<Fields extends object, Answer>(
  command: ControlCommand<Fields, Answer>,
): ControlCommand<Fields, Answer> {
  return command;
}

interface PurgeFields {
  readonly onlyIdle: boolean;
  /** Undefined for all names. */
  readonly names?: readonly string[] | undefined;
}

const DEFINITIONS = {
  status: define({
    parse: () => ({}),
    answer: (daemon) => daemon.status(),
  }),
  "list-names": define({
    parse: (request) => ({
      after: "after" in request ? parseString(request.after, "after") : "",
      limit: parseLimit(request),
    }),
    answer: (daemon, { after, limit }) => daemon.namespaces.request("names", after, limit),
  }),
  "find-name": define({
    parse: (request) => ({ name: "name" in request ? parseString(request.name, "name") : "" }),
    answer: async (daemon, { name }) => ({ found: await daemon.namespaces.request("name", name) }),
  }),
  reload: define({
    parse: () => ({}),
    answer: (daemon) => daemon.reload(),
  }),
  "purge-namespaces": define({
    parse: (request): PurgeFields => ({
      onlyIdle: "onlyIdle" in request && parseBoolean(request.onlyIdle, "onlyIdle"),
      names: "names" in request ? parseStrings(request.names, "names") : undefined,
    }),
    answer: (daemon, { onlyIdle, names }) => daemon.namespaces.request("purge", onlyIdle, names),
  }),
  "list-records": define({
    parse: (request) => ({
      after: "after" in request ? parseInteger(request.after, "after") : -1,
      limit: parseLimit(request),
    }),
    answer: (daemon, { after, limit }) => recordsOf(daemon).list(after, limit),
  }),
  "find-records": define({
    parse: (request) => ({ id: "id" in request ? parseString(request.id, "id") : "" }),
    answer: (daemon, { id }) => recordsOf(daemon).find(id),
  }),
  "retry-records": define({
    parse: (request) => ({
      numbers: "numbers" in request ? parseNumbersOrAll(request.numbers) : [],
    }),
    answer: (daemon, { numbers }) => recordsOf(daemon).retry(numbers),
  }),
  "drop-records": define({
    parse: (request) => ({ numbers: "numbers" in request ? parseNumbers(request.numbers) : [] }),
    answer: (daemon, { numbers }) => recordsOf(daemon).drop(numbers),
  }),
};

/** The maximum number of records or names in an answer: making an answer holds up other work. */
const MAX_PAGE = 500;

function parseBoolean(value: unknown, field: string): boolean {
  if (typeof value === "boolean") return value;
  throw new Error(`${field} is neither true nor false`);
}

function parseString(value: unknown, field: string): string {
  if (typeof value === "string") return value;
  throw new Error(`${field} is not a string`);
}

function parseStrings(value: unknown, field: string): string[] {
  if (!Array.isArray(value)) throw new Error(`${field} is not a list`);
  return value.map((each) => parseString(each, `an element of ${field}`));
}

function parseLimit(request: object): number {
  const limit = "limit" in request ? parseInteger(request.limit, "limit") : MAX_PAGE;
  if (limit < 1) throw new Error("limit is less than 1");
  return Math.min(limit, MAX_PAGE);
}

function parseInteger(value: unknown, field: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value)) return value;
  throw new Error(`${field} is not an integer`);
}

function parseNumbers(value: unknown): number[] {
  if (!Array.isArray(value)) throw new Error("numbers is not a list");
  return value.map((each) => parseInteger(each, "a record's number"));
}

function parseNumbersOrAll(value: unknown): number[] | "all" {
  return value === "all" ? "all" : parseNumbers(value);
}

/**
 * Returns the records in the journal.
 * @throws CommandFailure if the daemon does not use a journal; a command may then read the files of
 *   an existing journal itself
 */
function recordsOf({ accounting }: DaemonParts): AccountingRecords {
  if (accounting !== undefined) return accounting;
  throw new CommandFailure("the running daemon has no journal of cgroups", EX_UNAVAILABLE);
}

type Definitions = typeof DEFINITIONS;
type Name = keyof Definitions;
type Fields = { [N in Name]: ReturnType<Definitions[N]["parse"]> };
type Answers = { [N in Name]: Awaited<ReturnType<Definitions[N]["answer"]>> };

const COMMANDS: { readonly [N in Name]: ControlCommand<Fields[N], Answers[N]> } = DEFINITIONS;

/** A request from the control socket: the name of the command and its fields. */
export type ControlRequest<N extends Name = Name> = {
  [Each in N]: { readonly command: Each } & Readonly<Fields[Each]>;
}[N];

function requestOf<N extends Name>(command: N, fields: Fields[N]): ControlRequest<N> {
  return { command, ...fields };
}

function parseAs<N extends Name>(command: N, request: object): ControlRequest<N> {
  return requestOf(command, COMMANDS[command].parse(request));
}

/** Parses a line from the control socket. @throws Error if it is not a request. Pure. */
export function parseRequest(line: string): ControlRequest {
  const request: unknown = JSON.parse(line);
  if (typeof request !== "object" || request === null || !("command" in request))
    throw new Error("a request is an object with a command");
  const { command } = request;
  if (!isName(command)) throw new Error(`unknown command: ${String(command)}`);
  return parseAs(command, request);
}

function isName(name: unknown): name is Name {
  return typeof name === "string" && Object.hasOwn(COMMANDS, name);
}

/** Answers a request, on the daemon's main thread. */
export function answerRequest<N extends Name>(
  daemon: DaemonParts,
  request: ControlRequest<N>,
): Promise<Answers[N]> {
  // A request has the fields of its command, which TypeScript does not infer.
  return COMMANDS[request.command].answer(daemon, request as Fields[N]);
}

/** Sends a request to the running daemon, and returns its answer. */
export type Ask = (request: object) => Promise<unknown>;

/** Asks the running daemon. @throws CommandFailure (rejects), as `ask` does */
export function askFor<N extends Name>(ask: Ask, name: N, fields: Fields[N]): Promise<Answers[N]> {
  // A daemon of the same version gives an answer of this type.
  return ask(requestOf(name, fields)) as Promise<Answers[N]>;
}

/**
 * Returns access to the records in the running daemon's journal. A list of record numbers that is
 * too long for one request is sent in several: if one of these is refused, those before it have been
 * carried out.
 */
export function daemonRecords(ask: Ask): AccountingRecords {
  return {
    list: (after, limit) => askFor(ask, "list-records", { after, limit }),
    find: (id) => askFor(ask, "find-records", { id }),
    retry: (numbers) =>
      numbers === "all"
        ? askFor(ask, "retry-records", { numbers })
        : inPages(numbers, (page) => askFor(ask, "retry-records", { numbers: page })),
    drop: (numbers) => inPages(numbers, (page) => askFor(ask, "drop-records", { numbers: page })),
  };
}

async function inPages(
  numbers: readonly number[],
  decide: (page: number[]) => Promise<number>,
): Promise<number> {
  let count = 0;
  for (const page of pagesOf(numbers)) count += await decide(page);
  return count;
}

/**
 * The maximum size of a list in a request, in bytes of JSON: the daemon limits the size of
 * requests, and earlier versions of it accept no more than 4096 bytes.
 */
const PAGE_BYTES = 2048;

/**
 * Divides a list into pages for requests. A page has as many elements as fit, at least one. Pure.
 */
export function pagesOf<T extends string | number>(list: readonly T[]): T[][] {
  const pages: T[][] = [];
  let free = 0;
  for (const each of list) {
    const size = Buffer.byteLength(JSON.stringify(each)) + 1;
    const page = size <= free ? pages.at(-1) : undefined;
    if (page === undefined) pages.push([each]);
    else page.push(each);
    free = (page === undefined ? PAGE_BYTES : free) - size;
  }
  return pages;
}
