/** Counters of the namespace service. */
import {
  forEachKind,
  NAMESPACE_KINDS,
  type NamespaceKind,
  payloadOf,
  type Request,
} from "@cm4all/spawn-protocol";

/** Upper bounds of the latency histogram's buckets, milliseconds. */
export const LATENCY_BUCKETS_MS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000];

/** What a request can ask for. */
export type RequestType = NamespaceKind | "lease";

export class RequestStatistics {
  /** Requests that got what they asked for. */
  answeredCount = 0;
  /** What they asked for; one request can ask for several things. */
  readonly byType: Record<RequestType, number> = { ...forEachKind(() => 0), lease: 0 };
  answeredTotalMs = 0;
  /** Requests that the kernel or a quota refused. */
  failed = 0;
  /** Datagrams that are no request. */
  malformed = 0;
  /** Peers that may not ask. */
  refused = 0;
  /** How many answers took at most as long as each bucket, and in the end all others. */
  readonly latencyCounts = new Array<number>(LATENCY_BUCKETS_MS.length + 1).fill(0);

  answered(request: Request, durationMs: number): void {
    this.answeredCount++;
    for (const { kind } of NAMESPACE_KINDS)
      if (payloadOf(request, kind) !== undefined) this.byType[kind]++;
    if (request.lease) this.byType.lease++;
    this.answeredTotalMs += durationMs;
    const found = LATENCY_BUCKETS_MS.findIndex((bound) => durationMs <= bound);
    const bucket = found < 0 ? LATENCY_BUCKETS_MS.length : found;
    this.latencyCounts[bucket] = (this.latencyCounts[bucket] ?? 0) + 1;
  }
}
