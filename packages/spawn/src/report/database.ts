/** Reads what a report shows from the views of fleet.sql. */
import { userInfo } from "node:os";
import pg from "pg";
import { isDatabaseUri, type ReportOptions } from "./options.ts";

/** Where Debian's server and its clients have their socket. */
const SOCKET_DIRECTORY = "/var/run/postgresql";

/** A server that says nothing for so long is not waited for. */
const TIMEOUT_MS = 60_000;

/** What a customer has used, or all of them on a day. Peaks are of one cgroup, in its whole life. */
export interface Usage {
  readonly cpuSeconds: number;
  readonly ioBytes: number;
  /** Undefined if no host has such a figure. */
  readonly memoryPeakBytes: number | undefined;
  readonly pidsPeak: number | undefined;
  /** Processes that were killed for want of memory. */
  readonly oomKills: number;
  /** Processes that were not started because of pids.max. */
  readonly refusedForks: number;
}

export interface CustomerUsage extends Usage {
  readonly customer: string;
}

export interface DayUsage extends Usage {
  readonly day: string;
}

export interface ReportData {
  /** Those with most CPU time first. */
  readonly customers: readonly CustomerUsage[];
  /** In their order, without those of which nothing is known. */
  readonly days: readonly DayUsage[];
  /** When a customer's processes were killed or refused; the latest first. */
  readonly incidents: readonly (CustomerUsage & DayUsage)[];
  /** Days whose bills will change. */
  readonly unbilledDays: readonly string[];
}

const USAGE = `sum(cpu_seconds)::float8 AS "cpuSeconds", sum(io_bytes)::float8 AS "ioBytes",
  max(memory_peak_bytes)::float8 AS "memoryPeakBytes", max(pids_peak)::float8 AS "pidsPeak",
  sum(oom_kills)::float8 AS "oomKills", sum(refused_forks)::float8 AS "refusedForks"`;

const CHOSEN = `FROM fleet_customer_days
  WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR customer = $3)`;

const CUSTOMERS = `SELECT customer, ${USAGE} ${CHOSEN} GROUP BY customer
  ORDER BY "cpuSeconds" DESC, customer`;

/** As the report has days, whatever DateStyle is. */
const DAY = `to_char(day, 'YYYY-MM-DD') AS day`;

const DAYS = `SELECT ${DAY}, ${USAGE} ${CHOSEN} GROUP BY fleet_customer_days.day
  ORDER BY fleet_customer_days.day`;

const INCIDENTS = `SELECT customer, ${DAY}, ${USAGE} ${CHOSEN}
  AND oom_kills + refused_forks > 0 GROUP BY fleet_customer_days.day, customer
  ORDER BY fleet_customer_days.day DESC, customer`;

const UNBILLED = `SELECT DISTINCT ${DAY} FROM fleet_host_day
  WHERE day BETWEEN $1 AND $2 AND reports > billed ORDER BY day`;

/**
 * Reads all as it is at one moment. The connection is as PGHOST, PGUSER and the like say, by
 * default over Debian's socket as the user of this process; it writes nothing.
 * @throws errors of pg and of the system
 */
export async function readReport(options: ReportOptions): Promise<ReportData> {
  const { from, to, customer, database } = options;
  const client = new pg.Client({
    ...(isDatabaseUri(database)
      ? { connectionString: database }
      : {
          database,
          host: process.env["PGHOST"] || SOCKET_DIRECTORY,
          user: process.env["PGUSER"] || userInfo().username,
        }),
    application_name: "cm4all-spawn report",
    connectionTimeoutMillis: TIMEOUT_MS,
    query_timeout: TIMEOUT_MS,
  });
  await client.connect();
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const chosen = [from, to, customer ?? null];
    const customers = await client.query<Row & { customer: string }>(CUSTOMERS, chosen);
    const days = await client.query<Row & { day: string }>(DAYS, chosen);
    const incidents = await client.query<Row & { customer: string; day: string }>(
      INCIDENTS,
      chosen,
    );
    const unbilled = await client.query<{ day: string }>(UNBILLED, [from, to]);
    return {
      customers: customers.rows.map(usageOf),
      days: days.rows.map(usageOf),
      incidents: incidents.rows.map(usageOf),
      unbilledDays: unbilled.rows.map(({ day }) => day),
    };
  } finally {
    await client.end();
  }
}

type Row = Omit<Usage, "memoryPeakBytes" | "pidsPeak"> & {
  readonly memoryPeakBytes: number | null;
  readonly pidsPeak: number | null;
};

function usageOf<R extends Row>(row: R) {
  const { memoryPeakBytes, pidsPeak } = row;
  return {
    ...row,
    memoryPeakBytes: memoryPeakBytes ?? undefined,
    pidsPeak: pidsPeak ?? undefined,
  };
}
