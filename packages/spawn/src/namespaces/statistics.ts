/** Counters of the namespace service. */
import type { Request } from "@cm4all/spawn-protocol";

/** Upper bounds of the latency histogram's buckets, milliseconds. */
export const LATENCY_BUCKETS_MS = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 1000];

/** What a request can ask for. */
export type RequestType = "ipc" | "pid" | "user" | "lease";

export class RequestStatistics {
  /** Requests that got what they asked for. */
  answeredCount = 0;
  /** What they asked for; one request can ask for several things. */
  readonly byType: Record<RequestType, number> = { ipc: 0, pid: 0, user: 0, lease: 0 };
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
    if (request.ipc) this.byType.ipc++;
    if (request.pid) this.byType.pid++;
    if (request.user !== undefined) this.byType.user++;
    if (request.lease) this.byType.lease++;
    this.answeredTotalMs += durationMs;
    const found = LATENCY_BUCKETS_MS.findIndex((bound) => durationMs <= bound);
    const bucket = found < 0 ? LATENCY_BUCKETS_MS.length : found;
    this.latencyCounts[bucket] = (this.latencyCounts[bucket] ?? 0) + 1;
  }
}
