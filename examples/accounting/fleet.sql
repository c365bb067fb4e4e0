-- The tables of fleet.lua: many hosts, one server. It may be run again, by a superuser:
-- psql -d accounting -f fleet.sql
--
-- Once a day, by cron or a timer: psql -d accounting -c 'CALL keep_fleet_days(14, 90)'

-- All that a host may do is to call account_cgroups(). There is one session for each host,
-- and max_connections of the server has to allow for them.
DO $$ BEGIN
  CREATE ROLE fleet_host LOGIN CONNECTION LIMIT 250;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- The last state of a cgroup on each day (UTC) on which it was measured. Its figures are
-- those since its creation, so `*_before` has what earlier days have counted already.
CREATE TABLE IF NOT EXISTS fleet_usage (
  day date NOT NULL,
  host text NOT NULL,
  id text NOT NULL,              -- boot id and inode
  path text NOT NULL,
  customer text,
  cpu_seconds double precision NOT NULL,
  cpu_seconds_before double precision NOT NULL,
  io_bytes bigint NOT NULL,
  io_bytes_before bigint NOT NULL,
  memory_peak_bytes bigint,
  pids_peak bigint,
  -- The day comes last, because the earlier days of a cgroup are looked for.
  PRIMARY KEY (host, id, day)
) PARTITION BY RANGE (day);

-- Makes the partition of a day. Reports go on meanwhile: CREATE TABLE ... PARTITION OF would
-- have to wait for all of them, and hosts for it.
CREATE OR REPLACE FUNCTION make_fleet_day(one date) RETURNS void LANGUAGE plpgsql AS $$
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

-- Hosts may be late by 31 days.
SELECT make_fleet_day((now() AT TIME ZONE 'UTC')::date + n) FROM generate_series(-31, 14) AS n;

-- Makes the partitions of today and the days that follow, and drops those of long ago, each
-- in a transaction of its own. If it is not called for 14 days, hosts fail for want of a
-- partition, and keep their reports until it is.
--
-- A partition that cannot be had within a second, because a long report or pg_dump runs, is
-- left to the next call: hosts do not wait for longer.
CREATE OR REPLACE PROCEDURE keep_fleet_days(ahead integer, back integer)
LANGUAGE plpgsql AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
  statements text[];
  statement text;
BEGIN
  SELECT array_agg(format('SELECT make_fleet_day(%L)', today + n)) INTO statements
  FROM generate_series(0, ahead) AS n;
  SELECT statements || coalesce(array_agg(format('DROP TABLE %s', inhrelid::regclass)), '{}')
  INTO statements FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
  WHERE inhparent = 'fleet_usage'::regclass AND relname ~ '^fleet_usage_[0-9]{8}$'
    AND to_date(right(relname, 8), 'YYYYMMDD') < today - back;
  FOREACH statement IN ARRAY statements LOOP
    PERFORM set_config('lock_timeout', '1s', true);
    BEGIN
      EXECUTE statement;
    EXCEPTION WHEN lock_not_available THEN
      RAISE WARNING '%: not now, the table is in use', statement;
    END;
    COMMIT;
  END LOOP;
END $$;

-- Called by the hosts, so that what is done with reports can change in one place. The
-- n-th elements of the arrays are one cgroup's; an id is in them once.
--   measured, created: by the host's clock; NULL where it is not known when it was created
CREATE OR REPLACE FUNCTION account_cgroups(
  from_host text, ids text[], measured double precision[], created double precision[],
  paths text[], customers text[], cpu double precision[], io bigint[],
  memory_peaks bigint[], pids_peaks bigint[]) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
BEGIN
  INSERT INTO fleet_usage AS known (day, host, id, path, customer, cpu_seconds,
    cpu_seconds_before, io_bytes, io_bytes_before, memory_peak_bytes, pids_peak)
  SELECT report.day, from_host, report.id, report.path, report.customer, report.cpu,
    coalesce(before.cpu_seconds, 0), report.io, coalesce(before.io_bytes, 0),
    report.memory_peak, report.pids_peak
  FROM (
    SELECT list.*,
      -- The clock of a host may be wrong: no day to come, and none of long ago.
      least(greatest(measured_day, today - 31), today) AS day,
      -- By its difference to the day of creation, which is right even then.
      CASE WHEN measured_day >= created_day THEN measured_day - created_day ELSE 31 END AS age
    FROM unnest(ids, measured, created, paths, customers, cpu, io, memory_peaks, pids_peaks)
      AS list (id, measured, created, path, customer, cpu, io, memory_peak, pids_peak),
    LATERAL (SELECT (to_timestamp(list.measured) AT TIME ZONE 'UTC')::date AS measured_day,
      (to_timestamp(list.created) AT TIME ZONE 'UTC')::date AS created_day) AS days
  ) AS report
  -- What was created on its day has no rows of earlier days, as nearly all cgroups.
  LEFT JOIN LATERAL (
    SELECT max(cpu_seconds) AS cpu_seconds, max(io_bytes) AS io_bytes FROM fleet_usage AS earlier
    WHERE earlier.host = from_host AND earlier.id = report.id
      AND earlier.day >= report.day - report.age AND earlier.day < report.day
  ) AS before ON true
  ON CONFLICT (host, id, day) DO UPDATE SET
    cpu_seconds = greatest(known.cpu_seconds, EXCLUDED.cpu_seconds),
    io_bytes = greatest(known.io_bytes, EXCLUDED.io_bytes),
    memory_peak_bytes = greatest(known.memory_peak_bytes, EXCLUDED.memory_peak_bytes),
    pids_peak = greatest(known.pids_peak, EXCLUDED.pids_peak);
END $$;

REVOKE EXECUTE ON FUNCTION account_cgroups FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_cgroups TO fleet_host;

CREATE OR REPLACE VIEW fleet_customer_days AS
  SELECT day, customer, count(*) AS cgroups, count(DISTINCT host) AS hosts,
    sum(cpu_seconds - cpu_seconds_before) AS cpu_seconds,
    sum(io_bytes - io_bytes_before) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes
  FROM fleet_usage WHERE customer IS NOT NULL GROUP BY day, customer;

CREATE OR REPLACE VIEW fleet_host_days AS
  SELECT day, host, count(*) AS cgroups, sum(cpu_seconds - cpu_seconds_before) AS cpu_seconds,
    sum(io_bytes - io_bytes_before) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes
  FROM fleet_usage GROUP BY day, host;
