/**
 * JSON Schemas of the output of the commands with `--json`. Metrics and kinds of namespaces are
 * taken from their declarations. The build writes the schemas to files in `dist/schema`, which are
 * installed for authors of other programs; the suite itself does not read these files.
 * @see https://json-schema.org/draft/2020-12
 */
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import type { Declaration, Declarations } from "../metrics/declaration.ts";
import { PARTS } from "../status/status.ts";

type Schema = { readonly [keyword: string]: unknown };

const text = (description: string): Schema => ({ type: "string", description });
const whole = (description: string): Schema => ({ type: "integer", minimum: 0, description });
const number = (description: string): Schema => ({ type: "number", minimum: 0, description });
const truth = (description: string): Schema => ({ type: "boolean", description });
const list = (items: Schema, description: string): Schema => ({
  type: "array",
  items,
  description,
});

/**
 * Returns the schema of an object with these properties and no others; those in `optional` may be
 * missing.
 */
function object(
  properties: { readonly [name: string]: Schema },
  optional: readonly string[] = [],
  description?: string,
): Schema {
  return {
    type: "object",
    ...(description === undefined ? {} : { description }),
    properties,
    required: Object.keys(properties).filter((name) => !optional.includes(name)),
    additionalProperties: false,
  };
}

function metrics(declarations: Declarations, description: string): Schema {
  const properties = Object.entries(declarations).map(([key, each]) => [key, metric(each)]);
  return object(Object.fromEntries(properties), [], description);
}

function metric(declaration: Declaration): Schema {
  const { kind, help } = declaration;
  if (kind === "state") return { enum: Object.keys(declaration.states), description: help };
  const single = kind === "histogram" ? HISTOGRAM : { type: "number", minimum: 0 };
  const { label, values } = declaration;
  if (label === undefined) return { ...single, description: help };
  if (values === undefined)
    return { type: "object", additionalProperties: single, description: help };
  return object(Object.fromEntries(values.map((value) => [value, single])), [], help);
}

const HISTOGRAM = object({
  bounds: list({ type: "number" }, "Upper bounds of the buckets, ascending."),
  counts: list(
    { type: "integer", minimum: 0 },
    "The number of values in each bucket, and last the number of values above all bounds.",
  ),
  sum: { type: "number", description: "The sum of all values." },
});

const PROCESSES = list(
  object({
    pid: whole("The pid, in the PID namespace of the command."),
    command: text("The name of the process: comm in proc(5)."),
  }),
  "Processes.",
);

const NAME = object(
  {
    name: text("The name."),
    uid: whole("The uid that created the name; missing if unknown."),
    namespaces: object(
      Object.fromEntries(
        NAMESPACE_KINDS.map(({ kind }) => [
          kind,
          whole("The number of the name's namespaces of this kind."),
        ]),
      ),
    ),
    isLeased: truth("Whether a lease on the name is open."),
    idleSeconds: number("Seconds since the last use of the name; missing while it is leased."),
    init: object(
      { pid: whole("The pid of the init."), inode: whole("The inode of the PID namespace.") },
      [],
      "The init of the name's PID namespace; missing if there is none.",
    ),
    leasePipe: object(
      { device: whole("The device of the pipe."), inode: whole("The inode of the pipe.") },
      [],
      "The pipe of the name's leases: its write end is a lease. Missing before the first lease.",
    ),
    leaseHolders: { ...PROCESSES, description: "Processes that hold a lease." },
    processes: {
      ...PROCESSES,
      description: "Processes in the name's PID namespace, without the init.",
    },
  },
  ["uid", "idleSeconds", "init", "leasePipe"],
);

const STATUS = object(
  {
    state: {
      enum: ["well", "degraded"],
      description: "The exit status is 0 if the daemon is well, and 1 if it is degraded.",
    },
    problems: list({ type: "string" }, "The problems, the worst first."),
    version: text("The version of the daemon."),
    pid: whole("The pid of the daemon."),
    uptimeSeconds: number("Seconds since the start of the daemon."),
    systemCalls: {
      enum: ["addon", "ffi-rs"],
      description: "How system calls are made: through the addon in C, or through ffi-rs.",
    },
    configuration: object(
      {
        file: text("The path of the file."),
        problem: text(
          "Why the file cannot be applied; missing if it can be applied or has been applied.",
        ),
        waitsForRestart: list(
          { type: "string" },
          "Keys that have changed since the daemon was started, and that only a restart applies.",
        ),
      },
      ["problem"],
    ),
    isReaping: truth("Whether the configuration enables the reaper."),
    daemon: metrics(PARTS.daemon, "Metrics of the main thread."),
    namespace: metrics(PARTS.namespace, "Metrics of the namespace service."),
    reaper: metrics(
      PARTS.reaper,
      "Metrics of the reaper; missing while its thread is not running.",
    ),
    accounting: metrics(
      PARTS.accounting,
      "Metrics of accounting; missing unless the reaper is enabled.",
    ),
    journal: object(
      {
        path: text("The directory of the journal."),
        forgetful: text(
          "The type of the file system, if the journal on it may be lost at a restart of the host or container; missing otherwise.",
        ),
        problem: text("Why the journal takes no records; missing if it takes records."),
      },
      ["forgetful", "problem"],
    ),
    script: object(
      {
        path: text("The path of the script; missing if there is none."),
        problem: text("Why the script cannot be used at present; missing if it can be used."),
        isOutdated: truth("Whether the script's file was changed after the script was loaded."),
        oldestWaitingMs: number("When the oldest waiting cgroup was measured, in ms since 1970."),
        lastFailure: object({
          cgroup: text("The cgroup whose handler failed."),
          message: text("The error."),
          failedMs: number("When the handler failed, in ms since 1970."),
        }),
      },
      ["path", "problem", "oldestWaitingMs", "lastFailure"],
    ),
    metrics: object(
      {
        address: text("The configured address."),
        isListening: truth("Whether the daemon is listening on the address."),
        problem: text(
          "Why the daemon could not listen on the address; missing if there was no failure.",
        ),
      },
      ["problem"],
    ),
  },
  ["reaper", "accounting", "journal", "script", "metrics"],
);

const PURGED = object({
  ended: whole("The number of names that the command ended."),
  left: whole("The number of names that remain."),
});

const RECORD = object(
  {
    number: whole("The number of the record."),
    state: { enum: ["waiting", "began", "parked"] },
    id: text("The id of the cgroup."),
    report: whole("The number of the report among the reports of the cgroup, beginning with 1."),
    path: text("The path of the cgroup, relative to the cgroup root."),
    measuredMs: number("When the figures were read, in ms since 1970."),
    reason: text("Why the record is parked, or why its handler last failed."),
    attempts: whole("The number of calls of its handler since the daemon was started."),
  },
  ["id", "report", "path", "measuredMs", "reason", "attempts"],
);

/**
 * The schemas, by the command whose output they describe. A schema's file is named after the
 * command.
 */
const SCHEMAS: { readonly [command: string]: Schema } = {
  status: STATUS,
  "status-name": NAME,
  list: { type: "array", items: NAME },
  "purge-namespaces": PURGED,
  "accounting-list": { type: "array", items: RECORD },
};

/** Returns the text of each schema, by the name of its file. */
export function formatSchemas(): { readonly [file: string]: string } {
  const files = Object.entries(SCHEMAS).map(([command, schema]) => {
    const title = `Output of cm4all-spawn with --json: ${command}`;
    const document = { $schema: "https://json-schema.org/draft/2020-12/schema", title, ...schema };
    return [`${command}.schema.json`, `${JSON.stringify(document, undefined, 2)}\n`];
  });
  return Object.fromEntries(files);
}
