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
    help: "Names that there may be, as configured (max_names).",
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
    help: "Names that the uid has made that has most of them.",
    row: "names",
    text: "{} of the uid with most",
  },
  namesPerUidLimit: {
    kind: "gauge",
    help: "Names that one uid may have made, as configured (max_names_per_uid).",
    row: "names",
    text: "at most {} of one uid",
  },
  kept: {
    kind: "gauge",
    help: "Namespaces that are kept.",
    label: "kind",
    values: KINDS,
    row: "namespaces",
    text: "{}",
  },
  userNamespacesLimit: {
    kind: "gauge",
    help: "User namespaces that all names may have together, as configured (max_user_namespaces).",
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
    help: "Of these, the clients that may ask, as far as has been looked at; the limits are about them.",
    row: "connections",
    text: "{} admitted",
  },
  connectionsLimit: {
    kind: "gauge",
    help: "Clients that may ask that may be connected, as configured (max_connections).",
    row: "connections",
    text: "of at most {}",
  },
  connectionsOfOneUid: {
    kind: "gauge",
    help: "Of the clients that may ask, those of the uid that has most of them.",
    row: "connections",
    text: "{} of the uid with most",
  },
  connectionsPerUidLimit: {
    kind: "gauge",
    help: "Clients that may ask of one uid that may be connected, as configured (max_connections_per_uid).",
    row: "connections",
    text: "at most {} of one uid",
  },
  requests: {
    kind: "counter",
    help: "Datagrams of clients by what became of them: answered, failed (refused by the kernel or a quota), malformed, refused (the peer may not ask).",
    label: "result",
    values: ["answered", "failed", "malformed", "refused"],
    row: "requests",
    text: "{}",
  },
  requestDurationSeconds: {
    kind: "histogram",
    help: "From reading a request to sending its answer.",
    unit: "seconds",
    bounds: [5e-5, 1e-4, 2.5e-4, 5e-4, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1],
    row: "requests",
    text: "{} on average",
  },
  requested: {
    kind: "counter",
    help: "What answered requests asked for; a request can ask for several things.",
    label: "kind",
    values: [...KINDS, "lease"],
    row: "asked for",
    text: "{}",
  },
  endedNames: {
    kind: "counter",
    help: "Names that were ended, because they had expired or by purge-namespaces.",
    row: "ended",
    text: "{} names",
  },
  sparedNames: {
    kind: "counter",
    help: "How often a name was not ended because processes ran in its PID namespace.",
    row: "ended",
    text: "{} times spared because processes ran",
  },
  initDeaths: {
    kind: "counter",
    help: "Inits of PID namespaces that ended by themselves.",
    row: "inits",
    text: "{} ended by themselves",
  },
  turnSeconds: {
    kind: "histogram",
    help: "How long the thread of the namespace service worked before it looked for the next event.",
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
