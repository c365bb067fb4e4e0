-- The tables of fleet.lua: many hosts, one server. It may be run again, by a superuser:
-- psql -d accounting -f fleet.sql
--
-- Once a day, by cron or a timer: psql -d accounting -c 'CALL keep_fleet_days(14, 90)'

-- All that a host may do is to call account_cgroup(). There is one session for each host,
-- and max_connections of the server has to allow for them.
DO $$ BEGIN
  CREATE ROLE fleet_host LOGIN CONNECTION LIMIT 250;
EXCEPTION WHEN duplicate_object THEN NULL;
END $$;

-- The last state of a cgroup on each day on which it was reported. Its figures are those
-- since its creation, so `*_before` has what earlier days have counted already.
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
  PRIMARY KEY (day, host, id)
) PARTITION BY RANGE (day);

-- Where the rows of days go for which nobody made a partition.
CREATE TABLE IF NOT EXISTS fleet_usage_other PARTITION OF fleet_usage DEFAULT;

-- Makes the partitions of today and the days that follow, and drops those of long ago.
CREATE OR REPLACE PROCEDURE keep_fleet_days(ahead integer, back integer)
LANGUAGE plpgsql AS $$
DECLARE
  today date := (now() AT TIME ZONE 'UTC')::date;
  one date;
  old regclass;
BEGIN
  FOR one IN SELECT today + n FROM generate_series(0, ahead) AS n LOOP
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I PARTITION OF fleet_usage FOR VALUES FROM (%L) TO (%L)',
      'fleet_usage_' || to_char(one, 'YYYYMMDD'), one, one + 1);
  END LOOP;
  FOR old IN
    SELECT inhrelid::regclass FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid
    WHERE inhparent = 'fleet_usage'::regclass AND relname ~ '^fleet_usage_[0-9]{8}$'
      AND to_date(right(relname, 8), 'YYYYMMDD') < today - back
  LOOP
    EXECUTE format('DROP TABLE %s', old);
  END LOOP;
END $$;

CALL keep_fleet_days(14, 90);

-- Called by the hosts, so that what is done with a report can change in one place.
--   created: its day; NULL where it is not known.
CREATE OR REPLACE FUNCTION account_cgroup(
  today date, from_host text, cgroup text, created date, at_path text, of_customer text,
  cpu double precision, io bigint, memory_peak bigint, peak_pids bigint) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
  cpu_before double precision;
  io_before bigint;
BEGIN
  -- What was created today has no rows of earlier days, as nearly all cgroups.
  IF created IS DISTINCT FROM today THEN
    SELECT max(cpu_seconds), max(io_bytes) INTO cpu_before, io_before FROM fleet_usage
    WHERE host = from_host AND id = cgroup
      AND day >= coalesce(created, today - 31) AND day < today;
  END IF;
  INSERT INTO fleet_usage (day, host, id, path, customer, cpu_seconds, cpu_seconds_before,
    io_bytes, io_bytes_before, memory_peak_bytes, pids_peak)
  VALUES (today, from_host, cgroup, at_path, of_customer, cpu, coalesce(cpu_before, 0),
    io, coalesce(io_before, 0), memory_peak, peak_pids)
  ON CONFLICT (day, host, id) DO UPDATE SET
    cpu_seconds = EXCLUDED.cpu_seconds, io_bytes = EXCLUDED.io_bytes,
    memory_peak_bytes = EXCLUDED.memory_peak_bytes, pids_peak = EXCLUDED.pids_peak;
END $$;

REVOKE EXECUTE ON FUNCTION account_cgroup FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account_cgroup TO fleet_host;

CREATE OR REPLACE VIEW fleet_customer_days AS
  SELECT day, customer, count(*) AS cgroups, count(DISTINCT host) AS hosts,
    sum(cpu_seconds - cpu_seconds_before) AS cpu_seconds,
    sum(io_bytes - io_bytes_before) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes
  FROM fleet_usage WHERE customer IS NOT NULL GROUP BY day, customer;

CREATE OR REPLACE VIEW fleet_host_days AS
  SELECT day, host, count(*) AS cgroups, sum(cpu_seconds - cpu_seconds_before) AS cpu_seconds,
    sum(io_bytes - io_bytes_before) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes
  FROM fleet_usage GROUP BY day, host;
