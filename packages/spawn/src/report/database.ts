/** Reads the data of a report from the tables and views of examples/accounting/fleet.sql. */
import { userInfo } from "node:os";
import pg from "pg";
import { isDatabaseUri, type ReportOptions } from "./options.ts";

/** The directory of the socket by which clients on Debian reach the local PostgreSQL server. */
const SOCKET_DIRECTORY = "/var/run/postgresql";

/** How long to wait for a connection. */
const CONNECT_TIMEOUT_MS = 60_000;

/** How long a query may take: a busy server needs minutes to sum up a month for many customers. */
const QUERY_TIMEOUT_MS = 900_000;

/**
 * The usage of a customer, or of all customers on a day. A peak is that of a single cgroup in its
 * whole life.
 */
export interface Usage {
  readonly cpuSeconds: number;
  readonly ioBytes: number;
  /** Undefined if no host reports this figure. */
  readonly memoryPeakBytes: number | undefined;
  readonly pidsPeak: number | undefined;
  /** Processes that were killed because memory ran out. */
  readonly oomKills: number;
  /** Processes that could not be started because of pids.max. */
  readonly refusedForks: number;
}

export interface CustomerUsage extends Usage {
  readonly customer: string;
}

export interface DayUsage extends Usage {
  readonly day: string;
}

/** The usage of several customers together. */
export interface OthersUsage extends Usage {
  readonly customers: number;
}

export interface ReportData {
  /** At most `top` customers: those with the most CPU time, in descending order of CPU time. */
  readonly customers: readonly CustomerUsage[];
  /** All other customers; undefined if there are none. */
  readonly others: OthersUsage | undefined;
  /** The days in order; days without data are left out. */
  readonly days: readonly DayUsage[];
  /**
   * The latest days on which processes of a customer were killed or could not be started, at most
   * `top` days, the latest first.
   */
  readonly incidents: readonly (CustomerUsage & DayUsage)[];
  /** The number of all such days, including those beyond `top`. */
  readonly allIncidents: number;
  /** Days with hosts' reports that are on no bill yet: the figures of these days will change. */
  readonly unbilledDays: readonly string[];
}

const USAGE = `sum(cpu_seconds)::float8 AS "cpuSeconds", sum(io_bytes)::float8 AS "ioBytes",
  max(memory_peak_bytes)::float8 AS "memoryPeakBytes", max(pids_peak)::float8 AS "pidsPeak",
  sum(oom_kills)::float8 AS "oomKills", sum(refused_forks)::float8 AS "refusedForks"`;

/**
 * Selects from the bills themselves: with a view by day and customer, the server would have to sum
 * the figures twice.
 */
const CHOSEN = `FROM fleet_bill
  WHERE day BETWEEN $1 AND $2 AND customer IS NOT NULL AND ($3::text IS NULL OR customer = $3)`;

/**
 * The server sums the usage of the other customers, so that it transfers only the rows that the
 * report shows.
 */
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

/** Formats a day as in the report, whatever DateStyle is. */
const DAY = `to_char(day, 'YYYY-MM-DD') AS day`;

/** Selects the daily sums of all customers, or the bills of the chosen customer. */
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
 * Reads the data of a report in one read-only transaction. PGHOST, PGUSER and so on determine the
 * connection; by default, it uses Debian's socket and the name of the user of this process.
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
    connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
    query_timeout: QUERY_TIMEOUT_MS,
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

/** A row of a customer, or, if `customer` is null, of all other customers together. */
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
