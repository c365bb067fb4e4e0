/**
 * JSON Schemas of the output of the commands with `--json`. Metrics and kinds of namespaces are
 * taken from their tables. The build writes the schemas to files in `dist/schema`, which are
 * installed for authors of other programs; the suite itself does not read them.
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
    "How many were in each bucket, and at last how many were larger than all bounds.",
  ),
  sum: { type: "number", description: "Of all values." },
});

const PROCESSES = list(
  object({ pid: whole("In the PID namespace of who asked."), command: text("Its name.") }),
  "Processes.",
);

const NAME = object(
  {
    name: text("The name."),
    uid: whole("Who made it; missing if nobody knows."),
    namespaces: object(
      Object.fromEntries(NAMESPACE_KINDS.map(({ kind }) => [kind, whole("How many it has.")])),
    ),
    isLeased: truth("Whether a lease is open."),
    idleSeconds: number("Since its last use; missing while it is leased."),
    init: object(
      { pid: whole("Of the init."), inode: whole("Of its PID namespace.") },
      [],
      "The init of its PID namespace; missing without one.",
    ),
    leasePipe: object(
      { device: whole("Of the pipe."), inode: whole("Of the pipe.") },
      [],
      "The pipe whose writers hold its leases; missing before the first.",
    ),
    leaseHolders: { ...PROCESSES, description: "Processes that hold a lease." },
    processes: { ...PROCESSES, description: "Processes in its PID namespace besides the init." },
  },
  ["uid", "idleSeconds", "init", "leasePipe"],
);

const STATUS = object(
  {
    state: { enum: ["well", "degraded"], description: "The exit status is 0 or 1." },
    problems: list({ type: "string" }, "What is to be looked at, the worst first."),
    version: text("Of the daemon."),
    pid: whole("Of the daemon."),
    uptimeSeconds: number("Since its start."),
    systemCalls: { enum: ["addon", "ffi-rs"], description: "How they are made." },
    configuration: object(
      {
        file: text("Its path."),
        problem: text("Why the file cannot be put in force; missing if it can, or is."),
        waitsForRestart: list({ type: "string" }, "Keys that only a restart applies."),
      },
      ["problem"],
    ),
    isReaping: truth("Whether cgroups are to be reaped, as configured."),
    daemon: metrics(PARTS.daemon, "The main thread."),
    namespace: metrics(PARTS.namespace, "The namespace service."),
    reaper: metrics(PARTS.reaper, "The reaper; missing while its thread does not run."),
    accounting: metrics(PARTS.accounting, "Accounting; missing if no cgroups are reaped."),
    journal: object(
      {
        path: text("Its directory."),
        forgetful: text("The file system, if that does not survive a restart."),
        problem: text("Why it takes no records; missing if it does."),
      },
      ["forgetful", "problem"],
    ),
    script: object(
      {
        path: text("Missing without a script."),
        problem: text("Why it does not run; missing if it does."),
        isOutdated: truth("Whether the file was changed since it was loaded."),
        oldestWaitingMs: number("When the oldest of what waits was measured, ms since 1970."),
        lastFailure: object({
          cgroup: text("Whose handler failed."),
          message: text("Why."),
          failedMs: number("When, milliseconds since 1970."),
        }),
      },
      ["path", "problem", "oldestWaitingMs", "lastFailure"],
    ),
    metrics: object(
      {
        address: text("As configured."),
        isListening: truth("Whether they can be fetched."),
        problem: text("Why not, if it was tried."),
      },
      ["problem"],
    ),
  },
  ["reaper", "accounting", "journal", "script", "metrics"],
);

const PURGED = object({
  ended: whole("Names that were ended."),
  left: whole("Names that are left."),
});

const RECORD = object(
  {
    number: whole("Of the record."),
    state: { enum: ["waiting", "began", "parked"] },
    id: text("Of the cgroup."),
    report: whole("Of this cgroup, from 1 on."),
    path: text("Below the cgroup root."),
    measuredMs: number("When its figures were read, milliseconds since 1970."),
    reason: text("Why it is parked, or why its handler failed last."),
    attempts: whole("Calls of its handler in the life of this daemon."),
  },
  ["id", "report", "path", "measuredMs", "reason", "attempts"],
);

/** The schemas, by the command that prints the output; the file has the same name. */
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
    const title = `What cm4all-spawn prints with --json: ${command}`;
    const document = { $schema: "https://json-schema.org/draft/2020-12/schema", title, ...schema };
    return [`${command}.schema.json`, `${JSON.stringify(document, undefined, 2)}\n`];
  });
  return Object.fromEntries(files);
}
