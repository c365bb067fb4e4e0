/** The metrics of the namespace service. */
import { NAMESPACE_KINDS } from "@cm4all/spawn-protocol";
import type { Counts, Declarations, Gauges, Values } from "../metrics/declaration.ts";
import { TURN_BOUNDS } from "../thread/turns.ts";

const KINDS = NAMESPACE_KINDS.map(({ kind }) => kind);

export const NAMESPACE_METRICS = {
  names: {
    kind: "gauge",
    help: "Names that have namespaces or leases.",
    row: "names",
    text: "{}",
  },
  namesLimit: {
    kind: "gauge",
    help: "The maximum number of names, as configured (max_names).",
    row: "names",
    text: "of at most {}",
  },
  leasedNames: {
    kind: "gauge",
    help: "Names with an open lease.",
    row: "names",
    text: "{} leased",
  },
  namesOfOneUid: {
    kind: "gauge",
    help: "Names of the uid that has created the most names.",
    row: "names",
    text: "{} of the uid with the most",
  },
  namesPerUidLimit: {
    kind: "gauge",
    help: "The maximum number of names of one uid, as configured (max_names_per_uid).",
    row: "names",
    text: "at most {} of one uid",
  },
  kept: {
    kind: "gauge",
    help: "Namespaces that the daemon keeps.",
    label: "kind",
    values: KINDS,
    row: "namespaces",
    text: "{}",
  },
  userNamespacesLimit: {
    kind: "gauge",
    help: "The maximum number of user namespaces of all names, as configured (max_user_namespaces).",
    row: "namespaces",
    text: "at most {} user",
  },
  openDescriptors: {
    kind: "gauge",
    help: "Namespaces that are held open, so that the next request for them is answered faster.",
    row: "namespaces",
    text: "{} open",
  },
  connections: {
    kind: "gauge",
    help: "Clients that are connected.",
    row: "connections",
    text: "{}",
  },
  admittedConnections: {
    kind: "gauge",
    help: "Clients that have been admitted; the limits apply only to these clients.",
    row: "connections",
    text: "{} admitted",
  },
  connectionsLimit: {
    kind: "gauge",
    help: "The maximum number of admitted clients, as configured (max_connections).",
    row: "connections",
    text: "of at most {}",
  },
  connectionsOfOneUid: {
    kind: "gauge",
    help: "Admitted clients of the uid that has the most admitted clients.",
    row: "connections",
    text: "{} of the uid with the most",
  },
  connectionsPerUidLimit: {
    kind: "gauge",
    help: "The maximum number of admitted clients of one uid, as configured (max_connections_per_uid).",
    row: "connections",
    text: "at most {} of one uid",
  },
  requests: {
    kind: "counter",
    help: "Requests of clients by result: answered, failed (refused by the kernel or a quota), malformed, refused (the peer has no permission).",
    label: "result",
    values: ["answered", "failed", "malformed", "refused"],
    row: "requests",
    text: "{}",
  },
  requestDurationSeconds: {
    kind: "histogram",
    help: "Time from reading a request to sending its answer.",
    unit: "seconds",
    bounds: [5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    row: "requests",
    text: "{} on average",
  },
  requested: {
    kind: "counter",
    help: "Namespaces and leases for which requests were answered; a request can ask for several.",
    label: "kind",
    values: [...KINDS, "lease"],
    row: "asked for",
    text: "{}",
  },
  endedNames: {
    kind: "counter",
    help: "Names that ended because they had expired or because of purge-namespaces.",
    row: "ended",
    text: "{} names",
    textOfOne: "{} name",
  },
  sparedNames: {
    kind: "counter",
    help: "Number of times that a name was not ended because processes were running in its PID namespace.",
    row: "ended",
    text: "{} times spared because of processes",
    textOfOne: "{} time spared because of processes",
  },
  initDeaths: {
    kind: "counter",
    help: "Inits of PID namespaces that ended by themselves.",
    row: "inits",
    text: "{} ended by themselves",
    textOfOne: "{} ended by itself",
  },
  turnSeconds: {
    kind: "histogram",
    help: "Time that the thread of the namespace service worked before it waited for the next event.",
    unit: "seconds",
    bounds: TURN_BOUNDS,
    row: "service thread",
    text: "{} a turn, on average",
  },
} as const satisfies Declarations;

/** The values of the metrics, as they are shown. */
export type NamespaceMetrics = Values<typeof NAMESPACE_METRICS>;

export type NamespaceGauges = Gauges<typeof NAMESPACE_METRICS>;

/** The counters, shared by everything on the service's thread that counts. */
export type NamespaceCounts = Counts<typeof NAMESPACE_METRICS>;
