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

/** What several customers have used together. */
export interface OthersUsage extends Usage {
  readonly customers: number;
}

export interface ReportData {
  /** Those with most CPU time, in this order; as many as asked for. */
  readonly customers: readonly CustomerUsage[];
  /** All the others; undefined if there are none. */
  readonly others: OthersUsage | undefined;
  /** In their order, without those of which nothing is known. */
  readonly days: readonly DayUsage[];
  /** When a customer's processes were killed or refused; the latest, as many as asked for. */
  readonly incidents: readonly (CustomerUsage & DayUsage)[];
  /** How many there are altogether. */
  readonly allIncidents: number;
  /** Days whose bills will change. */
  readonly unbilledDays: readonly string[];
}

const USAGE = `sum(cpu_seconds)::float8 AS "cpuSeconds", sum(io_bytes)::float8 AS "ioBytes",
  max(memory_peak_bytes)::float8 AS "memoryPeakBytes", max(pids_peak)::float8 AS "pidsPeak",
  sum(oom_kills)::float8 AS "oomKills", sum(refused_forks)::float8 AS "refusedForks"`;

/** The bills themselves: a view by day and customer would sum them up twice. */
const CHOSEN = `FROM fleet_bill
  WHERE day BETWEEN $1 AND $2 AND customer IS NOT NULL AND ($3::text IS NULL OR customer = $3)`;

/** The server counts the others, so that there are never more rows here than are shown. */
const CUSTOMERS = `WITH used AS (
    SELECT customer, sum(cpu_seconds) AS cpu_seconds, sum(io_bytes) AS io_bytes,
      max(memory_peak_bytes) AS memory_peak_bytes, max(pids_peak) AS pids_peak,
      sum(oom_kills) AS oom_kills, sum(refused_forks) AS refused_forks
    ${CHOSEN} GROUP BY customer
  ), ranked AS (
    SELECT *, least(row_number() OVER (ORDER BY cpu_seconds DESC, customer), $4::int + 1) AS rank
    FROM used
  )
  SELECT CASE WHEN rank <= $4::int THEN min(customer) END AS customer,
    count(*)::float8 AS customers, ${USAGE} FROM ranked GROUP BY rank ORDER BY rank`;

/** As the report has days, whatever DateStyle is. */
const DAY = `to_char(day, 'YYYY-MM-DD') AS day`;

/** Of all customers there are sums. */
const DAYS = `SELECT ${DAY}, ${USAGE} FROM (
    SELECT day, cpu_seconds, io_bytes, memory_peak_bytes, pids_peak, oom_kills, refused_forks
    FROM fleet_days WHERE $3::text IS NULL
    UNION ALL
    SELECT day, cpu_seconds, io_bytes, memory_peak_bytes, pids_peak, oom_kills, refused_forks
    FROM fleet_bill WHERE customer = $3
  ) AS used WHERE day BETWEEN $1 AND $2 GROUP BY used.day ORDER BY used.day`;

const INCIDENTS = `SELECT customer, ${DAY}, (count(*) OVER ())::float8 AS "allIncidents", ${USAGE} ${CHOSEN}
  AND oom_kills + refused_forks > 0 GROUP BY fleet_bill.day, customer
  ORDER BY fleet_bill.day DESC, customer LIMIT $4`;

const UNBILLED = `SELECT DISTINCT ${DAY} FROM fleet_host_day
  WHERE day BETWEEN $1 AND $2 AND reports > billed ORDER BY day`;

/**
 * Reads all as it is at one moment. The connection is as PGHOST, PGUSER and the like say, by
 * default over Debian's socket as the user of this process; it writes nothing.
 * @throws errors of pg and of the system
 */
export async function readReport(options: ReportOptions): Promise<ReportData> {
  const { from, to, customer, top, database } = options;
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
    const { rows } = await client.query<RankedRow>(CUSTOMERS, [...chosen, top]);
    const days = await client.query<Row & { day: string }>(DAYS, chosen);
    const incidents = await client.query<IncidentRow>(INCIDENTS, [...chosen, top]);
    const unbilled = await client.query<{ day: string }>(UNBILLED, [from, to]);
    return {
      ...ranked(rows.map(usageOf)),
      days: days.rows.map(usageOf),
      incidents: incidents.rows.map(usageOf),
      allIncidents: incidents.rows[0]?.allIncidents ?? 0,
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

/** `customer` is null for all that have no row of their own. */
type RankedRow = Row & { readonly customer: string | null; readonly customers: number };

type IncidentRow = Row & {
  readonly customer: string;
  readonly day: string;
  readonly allIncidents: number;
};

function ranked(
  rows: readonly (Usage & Pick<RankedRow, "customer" | "customers">)[],
): Pick<ReportData, "customers" | "others"> {
  return {
    customers: rows.flatMap(({ customer, ...usage }) =>
      customer === null ? [] : [{ customer, ...usage }],
    ),
    others: rows.find(({ customer }) => customer === null),
  };
}

function usageOf<R extends Row>(row: R) {
  const { memoryPeakBytes, pidsPeak } = row;
  return {
    ...row,
    memoryPeakBytes: memoryPeakBytes ?? undefined,
    pidsPeak: pidsPeak ?? undefined,
  };
}
