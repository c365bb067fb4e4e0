-- The tables of fleet.lua: many hosts, one server (PostgreSQL 15 or newer).
--
--   psql -d accounting -f fleet.sql             once, and for each newer version of this file
--   psql -d accounting -f fleet-daily.sql       every day: partitions and bills
--   psql -d accounting -c 'CALL bill_fleet()'   more often: only bills
-- Run this file as a superuser the first time, because it creates roles; later, run it as a member
-- of fleet_owner. Hosts may report meanwhile: they wait only while columns are added to the table
-- of an earlier version. fleet-views.sql has to be in the same directory.

\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
-- Fail rather than wait for a long query, because all hosts would wait for this transaction.
SET LOCAL lock_timeout = '5s';

-- fleet_owner owns the tables, fleet_reader reads them, fleet_host may only report. The role of a
-- host has the host's name, is a member of fleet_host, and may report only for that host. Members
-- of fleet_every_host may report for any host. One of them is cm4all-spawn-reaper, the role of the
-- user that runs scripts. So on the server's own machine, with Debian's pg_hba.conf, the script
-- needs neither a password nor another role. Nobody connects from elsewhere without a password.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['fleet_owner', 'fleet_reader', 'fleet_host'] LOOP
    IF to_regrole(role) IS NULL THEN
      EXECUTE format('CREATE ROLE %I', role);
    END IF;
  END LOOP;
  -- Only the first time: an administrator may have revoked the membership since.
  IF to_regrole('fleet_every_host') IS NULL THEN
    CREATE ROLE fleet_every_host IN ROLE fleet_host;
    IF to_regrole('"cm4all-spawn-reaper"') IS NULL THEN
      CREATE ROLE "cm4all-spawn-reaper" LOGIN;
    END IF;
    GRANT fleet_every_host TO "cm4all-spawn-reaper";
  END IF;
  IF NOT has_schema_privilege('fleet_owner', 'public', 'CREATE') THEN
    GRANT CREATE ON SCHEMA public TO fleet_owner;
  END IF;
  -- What an earlier version of this file created belongs to a superuser.
  FOR role IN
    SELECT format('ALTER TABLE %s OWNER TO fleet_owner', oid::regclass) FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('p', 'r', 'v')
      AND relname ~ '^fleet_' AND relowner <> 'fleet_owner'::regrole
    UNION ALL
    SELECT format('ALTER ROUTINE %s OWNER TO fleet_owner', oid::regprocedure) FROM pg_proc
    WHERE pronamespace = 'public'::regnamespace AND proowner <> 'fleet_owner'::regrole
      AND proname IN ('account_cgroups', 'make_fleet_day', 'keep_fleet_days')
  LOOP
    EXECUTE role;
  END LOOP;
END $$;

SET LOCAL ROLE fleet_owner;
SET LOCAL search_path = public;

-- The last figures of a cgroup on each day (UTC) on which it was measured, counted from the
-- cgroup's creation. NULL: the host's kernel or cgroup2 hierarchy has no such figure.
CREATE TABLE IF NOT EXISTS fleet_usage (
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,
  pids_peak bigint,
  oom_kills bigint,              -- processes that the kernel killed for lack of memory
  refused_forks bigint,          -- processes that the kernel did not start because of pids.max
  day date NOT NULL,
  first_day date,                -- the first day that may have a row; NULL if that day is not known
  host text NOT NULL,
  id text NOT NULL,              -- boot id and inode
  path text NOT NULL,
  customer text,
  -- The day comes last, because queries look for the earlier days of a cgroup.
  PRIMARY KEY (host, id, day)
) PARTITION BY RANGE (day);

-- Cgroups that have a row of a day before the day of their creation: their host's clock was ahead
-- of the server's when they were created, or was set back afterwards.
CREATE TABLE IF NOT EXISTS fleet_early (
  host text NOT NULL,
  id text NOT NULL,
  day date NOT NULL,             -- of the last such row
  PRIMARY KEY (host, id)
);

-- The days for which each host has sent reports, and whether all these reports are billed.
CREATE TABLE IF NOT EXISTS fleet_host_day (
  host text NOT NULL,
  day date NOT NULL,
  reports bigint NOT NULL,           -- calls of account_cgroups that may have changed the bill
  billed bigint NOT NULL DEFAULT 0,  -- the value of `reports` when the bill was made
  last_report timestamptz NOT NULL,  -- by the server's clock
  PRIMARY KEY (host, day)
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS fleet_host_day_day ON fleet_host_day (day);

-- The bills: the usage of each day. They are kept longer than the rows from which they were made.
CREATE TABLE IF NOT EXISTS fleet_bill (
  day date NOT NULL,
  month date NOT NULL GENERATED ALWAYS AS (date_trunc('month', day::timestamp)::date) STORED,
  cgroups bigint NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,          -- the highest of any cgroup, in its whole life
  pids_peak bigint,
  oom_kills bigint NOT NULL,
  refused_forks bigint NOT NULL,
  customer text,                     -- NULL: cgroups of no customer
  host text NOT NULL,
  CONSTRAINT fleet_bill_key UNIQUE NULLS NOT DISTINCT (day, customer, host)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS fleet_bill_month ON fleet_bill (month);
CREATE INDEX IF NOT EXISTS fleet_bill_customer ON fleet_bill (customer, day);

-- The sums of the bills of a day and host, so that queries need not read the bills of very many
-- customers: one row for all customers, and one (is_nobodys) for cgroups of no customer.
CREATE TABLE IF NOT EXISTS fleet_bill_host (
  day date NOT NULL,
  cgroups bigint NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,
  pids_peak bigint,
  oom_kills bigint NOT NULL,
  refused_forks bigint NOT NULL,
  host text NOT NULL,
  is_nobodys boolean NOT NULL,
  PRIMARY KEY (day, host, is_nobodys)
) WITH (fillfactor = 70);

-- Computes the sums of a day for all hosts, because computing them for only a few hosts would read
-- just as many rows.
CREATE OR REPLACE FUNCTION sum_fleet_bills(one date) RETURNS void LANGUAGE sql
SET search_path = public, pg_temp AS $$
  INSERT INTO fleet_bill_host (day, host, is_nobodys, cgroups, cpu_seconds, io_bytes,
    memory_peak_bytes, pids_peak, oom_kills, refused_forks)
  SELECT day, host, customer IS NULL, sum(cgroups), sum(cpu_seconds), sum(io_bytes),
    max(memory_peak_bytes), max(pids_peak), sum(oom_kills), sum(refused_forks)
  FROM fleet_bill WHERE day = one GROUP BY day, host, customer IS NULL
  ON CONFLICT (day, host, is_nobodys) DO UPDATE SET cgroups = EXCLUDED.cgroups,
    cpu_seconds = EXCLUDED.cpu_seconds, io_bytes = EXCLUDED.io_bytes,
    memory_peak_bytes = EXCLUDED.memory_peak_bytes, pids_peak = EXCLUDED.pids_peak,
    oom_kills = EXCLUDED.oom_kills, refused_forks = EXCLUDED.refused_forks;
$$;

-- Bills that an earlier version of this file made have no sums yet.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM fleet_bill_host) THEN
    PERFORM sum_fleet_bills(day) FROM (SELECT DISTINCT day FROM fleet_bill) AS billed;
  END IF;
END $$;

-- Makes the partition of a day while hosts report. CREATE TABLE ... PARTITION OF would wait for all
-- reports, and hosts would wait for that statement. fleet_owner owns the partition, whoever calls
-- this function.
CREATE OR REPLACE FUNCTION make_fleet_day(one date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  name text := 'fleet_usage_' || to_char(one, 'YYYYMMDD');
BEGIN
  IF to_regclass(name) IS NOT NULL THEN
    RETURN;
  END IF;
  EXECUTE format('CREATE TABLE %I (LIKE fleet_usage INCLUDING ALL)', name);
  EXECUTE format('ALTER TABLE fleet_usage ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
    name, one, one + 1);
END $$;

-- In an earlier version of this file, each row also had the figures that had been counted on
-- earlier days. These were wrong if a report arrived late. That version had no tables of bills:
-- views computed the bills anew for each query.
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'fleet_usage'::regclass
      AND attname = 'cpu_seconds_before' AND NOT attisdropped) THEN
    DROP VIEW IF EXISTS fleet_customer_days, fleet_host_days;
    DROP PROCEDURE IF EXISTS keep_fleet_days;
    INSERT INTO fleet_host_day (host, day, reports, last_report)
    SELECT DISTINCT host, day, 1, now() FROM fleet_usage;
    -- The usage that a cgroup had on days that were dropped becomes a row of the day before the
    -- cgroup's first remaining row. If the host has no reports for the new row's day, the row is on
    -- no bill. The bills of later days subtract it.
    PERFORM make_fleet_day(day) FROM (
      SELECT DISTINCT min(day) - 1 AS day FROM fleet_usage GROUP BY host, id
    ) AS before;
    INSERT INTO fleet_usage (host, id, day, path, customer, cpu_seconds, cpu_seconds_before,
      io_bytes, io_bytes_before)
    SELECT host, id, day - 1, path, customer, cpu_seconds_before, 0, io_bytes_before, 0
    FROM (SELECT DISTINCT ON (host, id) * FROM fleet_usage ORDER BY host, id, day) AS first
    WHERE cpu_seconds_before > 0 OR io_bytes_before > 0;
    ALTER TABLE fleet_usage DROP COLUMN cpu_seconds_before, DROP COLUMN io_bytes_before,
      ADD COLUMN oom_kills bigint, ADD COLUMN refused_forks bigint, ADD COLUMN first_day date;
    DROP FUNCTION account_cgroups;
  END IF;
END $$;

-- Reports may be up to 31 days late.
DO $$ BEGIN
  PERFORM make_fleet_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-31, 14) AS n;
END $$;

-- Makes the partitions of today and of `ahead` more days, each in a transaction of its own. If this
-- procedure is not called for more than `ahead` days, reports fail because there is no partition,
-- and hosts keep them until it is called.
CREATE OR REPLACE PROCEDURE make_fleet_days(ahead integer) LANGUAGE plpgsql AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  FOR n IN 0 .. ahead LOOP
    PERFORM make_fleet_day(today + n);
    COMMIT;
  END LOOP;
END $$;

-- Returns the statements that drop the partitions of days more than `back` days ago whose reports
-- are all billed; fleet-daily.sql executes the statements one after the other.
-- DETACH ... CONCURRENTLY waits for readers such as pg_dump, and nobody waits for it, but it cannot
-- be used in a function.
CREATE OR REPLACE FUNCTION fleet_days_to_drop(back integer) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  IF back < 32 THEN
    RAISE EXCEPTION 'reports may be up to 31 days late: keep at least 32 days';
  END IF;
  RETURN QUERY
    WITH known AS (
      SELECT oid::regclass AS name, to_date(right(relname, 8), 'YYYYMMDD') AS day, inhdetachpending
      FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
      WHERE relnamespace = 'public'::regnamespace AND relname ~ '^fleet_usage_[0-9]{8}$'
    )
    SELECT statement FROM known, LATERAL (VALUES
      (1, 'ALTER TABLE fleet_usage DETACH PARTITION ' || name ||
        -- true: an earlier DETACH was interrupted. NULL: the partition is already detached.
        CASE inhdetachpending WHEN true THEN ' FINALIZE' WHEN false THEN ' CONCURRENTLY' END),
      (2, 'DROP TABLE ' || name)
    ) AS steps (step, statement)
    WHERE day < (now() AT TIME ZONE 'UTC')::date - back AND statement IS NOT NULL
      AND NOT EXISTS (SELECT FROM fleet_host_day AS reported
        WHERE reported.day = known.day AND reports > billed)
    ORDER BY day, step;
END $$;

-- Stores reports. Hosts call this function instead of writing to the tables, so that the tables can
-- change. The n-th elements of all arrays belong to the same cgroup; no id occurs twice.
--   measured, created: by the host's clock; `created` has NULL if a cgroup's creation time is not
--   known
-- Hosts with an earlier version of fleet.lua do not pass `killed` and `refused`.
CREATE OR REPLACE FUNCTION account_cgroups(
  from_host text, ids text[], measured double precision[], created double precision[],
  paths text[], customers text[], cpu double precision[], io bigint[], memory_peaks bigint[],
  pids_peaks bigint[], killed bigint[] DEFAULT NULL, refused bigint[] DEFAULT NULL)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  today constant date := (now() AT TIME ZONE 'UTC')::date;
  days date[];
  earliest date;
BEGIN
  -- An attacker on one host must not write figures of other hosts. Hosts with an earlier version of
  -- fleet.lua connect as fleet_host itself, a role that can log in only if an earlier version of
  -- this file has created it.
  IF session_user NOT IN (from_host, 'fleet_host')
    AND NOT pg_has_role(session_user, 'fleet_every_host', 'MEMBER') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s may report only for the host of that name, not for %s', session_user, from_host);
  END IF;

  -- The clock of a host may be wrong: a day in the future counts as today, and a day more than 31
  -- days ago as the day 31 days ago.
  SELECT array_agg(day ORDER BY n), min(day) INTO days, earliest
  FROM (
    SELECT n, today - least(greatest(today - date '1970-01-01' - floor(seconds / 86400), 0), 31)::int
      AS day
    FROM unnest(measured) WITH ORDINALITY AS list (seconds, n)
  ) AS list;

  -- Two calls for the same host store their reports one after the other, even if the days differ.
  PERFORM pg_advisory_xact_lock(hashtext('account_cgroups'), hashtext(from_host));

  -- The bills of later days change, too: the usage up to a reported day is subtracted from them.
  INSERT INTO fleet_host_day AS known (host, day, reports, last_report)
  SELECT from_host, day, 1, now() FROM (
    SELECT unnest(days) AS day
    UNION SELECT later.day FROM fleet_host_day AS later
    WHERE later.host = from_host AND later.day > earliest
  ) AS changed ORDER BY day
  ON CONFLICT (host, day) DO UPDATE SET reports = known.reports + 1, last_report = now();

  -- By the host's clock, these cgroups were created after the day of their row. So no row of theirs
  -- may have a `first_day`, even if an earlier report has set one: bills would skip the early row.
  INSERT INTO fleet_early AS known (host, id, day)
  SELECT from_host, id, day FROM unnest(ids, days, created) AS list (id, day, created_at)
  WHERE floor(created_at / 86400) > day - date '1970-01-01'
  ON CONFLICT (host, id) DO UPDATE SET day = EXCLUDED.day WHERE known.day < EXCLUDED.day;
  IF FOUND THEN
    UPDATE fleet_usage SET first_day = NULL
    WHERE host = from_host AND day > earliest AND first_day IS NOT NULL
      AND id IN (SELECT id FROM fleet_early WHERE host = from_host AND id = ANY (ids));
  END IF;

  INSERT INTO fleet_usage AS known (host, id, day, first_day, path, customer, cpu_seconds,
    io_bytes, memory_peak_bytes, pids_peak, oom_kills, refused_forks)
  SELECT from_host, id, day,
    CASE WHEN measured_at >= created_at AND NOT EXISTS (
      SELECT FROM fleet_early AS early WHERE early.host = from_host AND early.id = list.id
    ) THEN
      date '1970-01-01' + greatest(least(floor(created_at / 86400), day - date '1970-01-01'), 0)::int
    END,
    path, customer, coalesce(cpu_seconds, 0), io_bytes, memory, pids, kills, refusals
  FROM unnest(ids, days, measured, created, paths, customers, cpu, io, memory_peaks,
    pids_peaks, killed, refused) AS list (id, day, measured_at, created_at, path, customer,
    cpu_seconds, io_bytes, memory, pids, kills, refusals)
  ON CONFLICT (host, id, day) DO UPDATE SET
    cpu_seconds = greatest(known.cpu_seconds, EXCLUDED.cpu_seconds),
    io_bytes = greatest(known.io_bytes, EXCLUDED.io_bytes),
    memory_peak_bytes = greatest(known.memory_peak_bytes, EXCLUDED.memory_peak_bytes),
    pids_peak = greatest(known.pids_peak, EXCLUDED.pids_peak),
    oom_kills = greatest(known.oom_kills, EXCLUDED.oom_kills),
    refused_forks = greatest(known.refused_forks, EXCLUDED.refused_forks);
END $$;

-- Makes the bill of a day anew, for hosts with new reports.
CREATE OR REPLACE FUNCTION bill_fleet_day(one date) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  hosts text[];
  so_far bigint[];
BEGIN
  -- This lock blocks other calls of this function, but no readers.
  LOCK TABLE fleet_bill IN SHARE UPDATE EXCLUSIVE MODE;
  SELECT array_agg(host), array_agg(reports) INTO hosts, so_far
  FROM fleet_host_day WHERE day = one AND reports > billed;

  -- Reports that arrive after the query above may already be in this bill; the next bill includes
  -- them in any case.
  INSERT INTO fleet_bill AS known (day, customer, host, cgroups, cpu_seconds, io_bytes,
    memory_peak_bytes, pids_peak, oom_kills, refused_forks)
  SELECT one, customer, host, sum(cgroups), sum(cpu_seconds), sum(io_bytes),
    max(memory_peak_bytes), max(pids_peak), sum(oom_kills), sum(refused_forks)
  FROM (
    SELECT customer, host, 1 AS cgroups, cpu_seconds, io_bytes, memory_peak_bytes, pids_peak,
      coalesce(oom_kills, 0) AS oom_kills, coalesce(refused_forks, 0) AS refused_forks
    FROM fleet_usage WHERE day = one AND host = ANY (hosts)
    UNION ALL
    -- Subtracts the usage of earlier days; nearly all cgroups have none.
    SELECT customer, host, 0, -least(before.cpu, cpu_seconds), -least(before.io, io_bytes),
      NULL, NULL, -least(before.kills, coalesce(oom_kills, 0)),
      -least(before.refusals, coalesce(refused_forks, 0))
    FROM fleet_usage AS last, LATERAL (
      SELECT max(cpu_seconds) AS cpu, max(io_bytes) AS io, coalesce(max(oom_kills), 0) AS kills,
        coalesce(max(refused_forks), 0) AS refusals
      FROM fleet_usage AS earlier
      WHERE earlier.host = last.host AND earlier.id = last.id AND earlier.day < one
        AND earlier.day >= coalesce(last.first_day, '-infinity')
    ) AS before
    WHERE day = one AND host = ANY (hosts) AND first_day IS DISTINCT FROM one
      AND before.cpu IS NOT NULL
  ) AS used GROUP BY customer, host
  ON CONFLICT ON CONSTRAINT fleet_bill_key DO UPDATE SET cgroups = EXCLUDED.cgroups,
    cpu_seconds = EXCLUDED.cpu_seconds, io_bytes = EXCLUDED.io_bytes,
    memory_peak_bytes = EXCLUDED.memory_peak_bytes, pids_peak = EXCLUDED.pids_peak,
    oom_kills = EXCLUDED.oom_kills, refused_forks = EXCLUDED.refused_forks;
  PERFORM sum_fleet_bills(one);

  UPDATE fleet_host_day AS known SET billed = made.reports
  FROM unnest(hosts, so_far) AS made (host, reports)
  WHERE known.host = made.host AND known.day = one;
END $$;

-- Brings the bills up to date, each day in a transaction of its own.
CREATE OR REPLACE PROCEDURE bill_fleet() LANGUAGE plpgsql AS $$
DECLARE
  one date;
BEGIN
  FOR one IN SELECT DISTINCT day FROM fleet_host_day WHERE reports > billed ORDER BY day LOOP
    PERFORM bill_fleet_day(one);
    COMMIT;
  END LOOP;
END $$;

\ir fleet-views.sql

REVOKE EXECUTE ON FUNCTION account_cgroups, make_fleet_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_cgroups TO fleet_host;
GRANT SELECT ON fleet_usage, fleet_host_day, fleet_bill, fleet_bill_host, fleet_customer_days,
  fleet_customer_months, fleet_host_days, fleet_days, fleet_hosts TO fleet_reader;

COMMIT;
