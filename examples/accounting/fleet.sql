-- The tables of fleet.lua: many hosts, one server (PostgreSQL 15 or newer).
--
--   psql -d accounting -f fleet.sql     once, and for each newer version of this file
--   psql -d accounting -f fleet-daily.sql                each day: partitions, bills
--   psql -d accounting -c 'CALL bill_fleet()'            more often: the bills alone
--
-- The first time as a superuser, for the roles; later as a member of fleet_owner. Hosts may
-- report meanwhile. They wait while columns are added to the table of an earlier version.
-- fleet-views.sql lies beside it.

\set ON_ERROR_STOP on
BEGIN;
SET LOCAL client_min_messages = warning;
-- Not behind a long report, since hosts would wait behind this.
SET LOCAL lock_timeout = '5s';

-- fleet_owner has the tables, fleet_reader reads, fleet_host reports and does nothing else.
-- A host has a role of its own name that is a member of fleet_host, and reports for itself.
-- Members of fleet_every_host report for any host. The role of the daemon's own user is one, so
-- that its script needs neither a password nor a role of its own on the server's own machine,
-- with pg_hba.conf as Debian has it; from elsewhere, nobody gets in without a password.
DO $$
DECLARE
  role text;
BEGIN
  FOREACH role IN ARRAY ARRAY['fleet_owner', 'fleet_reader', 'fleet_host'] LOOP
    IF to_regrole(role) IS NULL THEN
      EXECUTE format('CREATE ROLE %I', role);
    END IF;
  END LOOP;
  -- The first time only: an administrator may have taken the right away since.
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
  -- What a superuser has made with an earlier version of this file.
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

-- The last figures of a cgroup on each day (UTC) on which it was measured, since its creation.
-- NULL: the host's kernel or cgroup2 has no such figure.
CREATE TABLE IF NOT EXISTS fleet_usage (
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,
  pids_peak bigint,
  oom_kills bigint,              -- processes that the kernel killed for want of memory
  refused_forks bigint,          -- processes that it did not start because of pids.max
  day date NOT NULL,
  first_day date,                -- there are no rows of earlier days; NULL where that is not known
  host text NOT NULL,
  id text NOT NULL,              -- boot id and inode
  path text NOT NULL,
  customer text,
  -- The day comes last, because the earlier days of a cgroup are looked for.
  PRIMARY KEY (host, id, day)
) PARTITION BY RANGE (day);

-- Which days there are reports of, and which of these are on the bill.
CREATE TABLE IF NOT EXISTS fleet_host_day (
  host text NOT NULL,
  day date NOT NULL,
  reports bigint NOT NULL,           -- lists of cgroups that may have changed the day's bill
  billed bigint NOT NULL DEFAULT 0,  -- `reports` when it was made
  last_report timestamptz NOT NULL,  -- by the server's clock
  PRIMARY KEY (host, day)
) WITH (fillfactor = 50);
CREATE INDEX IF NOT EXISTS fleet_host_day_day ON fleet_host_day (day);

-- The bills: what was used on each day. They outlive the rows that they are made of.
CREATE TABLE IF NOT EXISTS fleet_bill (
  day date NOT NULL,
  month date NOT NULL GENERATED ALWAYS AS (date_trunc('month', day::timestamp)::date) STORED,
  cgroups bigint NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,          -- the highest of one cgroup, in its whole life
  pids_peak bigint,
  oom_kills bigint NOT NULL,
  refused_forks bigint NOT NULL,
  customer text,                     -- NULL: what belongs to nobody
  host text NOT NULL,
  CONSTRAINT fleet_bill_key UNIQUE NULLS NOT DISTINCT (day, customer, host)
) WITH (fillfactor = 70);
CREATE INDEX IF NOT EXISTS fleet_bill_month ON fleet_bill (month);
CREATE INDEX IF NOT EXISTS fleet_bill_customer ON fleet_bill (customer, day);

-- The bills of a day and host in one row, and in another what belongs to nobody: sums over all
-- customers, of whom there may be very many.
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

-- Makes them of the bills of a day, of all hosts: to choose some would read as much.
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

-- Bills of an earlier version have no sums yet.
DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM fleet_bill_host) THEN
    PERFORM sum_fleet_bills(day) FROM (SELECT DISTINCT day FROM fleet_bill) AS billed;
  END IF;
END $$;

-- Makes the partition of a day. Reports go on meanwhile: CREATE TABLE ... PARTITION OF would
-- have to wait for all of them, and hosts for it. Whoever calls it, fleet_owner owns it.
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

-- An earlier version of this file had what earlier days have counted in each row, which was
-- wrong for rows that came late, and made its bills from the rows at each question.
DO $$ BEGIN
  IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = 'fleet_usage'::regclass
      AND attname = 'cpu_seconds_before' AND NOT attisdropped) THEN
    DROP VIEW IF EXISTS fleet_customer_days, fleet_host_days;
    DROP PROCEDURE IF EXISTS keep_fleet_days;
    INSERT INTO fleet_host_day (host, day, reports, last_report)
    SELECT DISTINCT host, day, 1, now() FROM fleet_usage;
    -- What was counted on days that are dropped by now becomes a row of the day before: it is on
    -- no bill, since there is no report of that day, and the bills that follow are less by it.
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

-- Hosts may be late by 31 days.
DO $$ BEGIN
  PERFORM make_fleet_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-31, 14) AS n;
END $$;

-- Makes the partitions of today and the days that follow, each in a transaction of its own. If
-- it is not called for so long, hosts fail for want of a partition, and keep their reports
-- until it is.
CREATE OR REPLACE PROCEDURE make_fleet_days(ahead integer) LANGUAGE plpgsql AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  FOR n IN 0 .. ahead LOOP
    PERFORM make_fleet_day(today + n);
    COMMIT;
  END LOOP;
END $$;

-- The statements that drop the days of more than `back` days ago that are on the bill, to be
-- executed one after the other (fleet-daily.sql): DETACH ... CONCURRENTLY waits for those who
-- read, such as pg_dump, and nobody for it, but cannot be in a function.
CREATE OR REPLACE FUNCTION fleet_days_to_drop(back integer) RETURNS SETOF text
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
  IF back < 32 THEN
    RAISE EXCEPTION 'hosts may be late by 31 days, which are not dropped';
  END IF;
  RETURN QUERY
    WITH known AS (
      SELECT oid::regclass AS name, to_date(right(relname, 8), 'YYYYMMDD') AS day, inhdetachpending
      FROM pg_class LEFT JOIN pg_inherits ON inhrelid = oid
      WHERE relnamespace = 'public'::regnamespace AND relname ~ '^fleet_usage_[0-9]{8}$'
    )
    SELECT statement FROM known, LATERAL (VALUES
      (1, 'ALTER TABLE fleet_usage DETACH PARTITION ' || name ||
        -- Pending: somebody has interrupted the statement. NULL: it was detached.
        CASE inhdetachpending WHEN true THEN ' FINALIZE' WHEN false THEN ' CONCURRENTLY' END),
      (2, 'DROP TABLE ' || name)
    ) AS steps (step, statement)
    WHERE day < (now() AT TIME ZONE 'UTC')::date - back AND statement IS NOT NULL
      AND NOT EXISTS (SELECT FROM fleet_host_day AS reported
        WHERE reported.day = known.day AND reports > billed)
    ORDER BY day, step;
END $$;

-- Called by the hosts, so that what is done with reports can change in one place. The
-- n-th elements of the arrays are one cgroup's; an id is in them once.
--   measured, created: by the host's clock; NULL where it is not known when it was created
-- Hosts with an earlier version of fleet.lua pass no `killed` and `refused`.
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
  -- Whoever breaks into a host writes no figures of others. Those of an earlier version come as
  -- fleet_host itself, which can log in only there.
  IF session_user NOT IN (from_host, 'fleet_host')
    AND NOT pg_has_role(session_user, 'fleet_every_host', 'MEMBER') THEN
    RAISE insufficient_privilege USING
      MESSAGE = format('%s reports for the host of this name alone, not for %s', session_user, from_host);
  END IF;

  -- The clock of a host may be wrong: no day to come, and none of long ago.
  SELECT array_agg(day ORDER BY n), min(day) INTO days, earliest
  FROM (
    SELECT n, today - least(greatest(today - date '1970-01-01' - floor(seconds / 86400), 0), 31)::int
      AS day
    FROM unnest(measured) WITH ORDINALITY AS list (seconds, n)
  ) AS list;

  -- Two lists of the same host are taken one after the other, also those of different days.
  PERFORM pg_advisory_xact_lock(hashtext('account_cgroups'), hashtext(from_host));

  -- The bills of later days change as well: they do not have what was used until this one.
  INSERT INTO fleet_host_day AS known (host, day, reports, last_report)
  SELECT from_host, day, 1, now() FROM (
    SELECT unnest(days) AS day
    UNION SELECT later.day FROM fleet_host_day AS later
    WHERE later.host = from_host AND later.day > earliest
  ) AS changed ORDER BY day
  ON CONFLICT (host, day) DO UPDATE SET reports = known.reports + 1, last_report = now();

  INSERT INTO fleet_usage AS known (host, id, day, first_day, path, customer, cpu_seconds,
    io_bytes, memory_peak_bytes, pids_peak, oom_kills, refused_forks)
  SELECT from_host, id, day,
    -- By the difference of two times of one clock, which is right even if the clock is wrong.
    CASE WHEN measured_at >= created_at
      THEN day - least(floor(measured_at / 86400) - floor(created_at / 86400), 3650)::int END,
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

-- Makes the bill of a day anew, for the hosts of which there are new reports.
CREATE OR REPLACE FUNCTION bill_fleet_day(one date) RETURNS void LANGUAGE plpgsql
SET search_path = public, pg_temp SET plan_cache_mode = force_custom_plan AS $$
DECLARE
  hosts text[];
  so_far bigint[];
BEGIN
  -- Keeps out another call of this function alone.
  LOCK TABLE fleet_bill IN SHARE UPDATE EXCLUSIVE MODE;
  SELECT array_agg(host), array_agg(reports) INTO hosts, so_far
  FROM fleet_host_day WHERE day = one AND reports > billed;

  -- Reports that come from here on may be counted already, and will be counted again.
  INSERT INTO fleet_bill AS known (day, customer, host, cgroups, cpu_seconds, io_bytes,
    memory_peak_bytes, pids_peak, oom_kills, refused_forks)
  SELECT one, customer, host, sum(cgroups), sum(cpu_seconds), sum(io_bytes),
    max(memory_peak_bytes), max(pids_peak), sum(oom_kills), sum(refused_forks)
  FROM (
    SELECT customer, host, 1 AS cgroups, cpu_seconds, io_bytes, memory_peak_bytes, pids_peak,
      coalesce(oom_kills, 0) AS oom_kills, coalesce(refused_forks, 0) AS refused_forks
    FROM fleet_usage WHERE day = one AND host = ANY (hosts)
    UNION ALL
    -- Less what was counted on earlier days, of which nearly all cgroups have none.
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
