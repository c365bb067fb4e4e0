-- The table of postgres.lua. This file may be run again: psql -d accounting -f postgres.sql

-- An earlier version of this file made a table with one row for each cgroup: convert it.
DO $$ BEGIN
  ALTER TABLE cgroup_usage RENAME COLUMN reported TO measured;
  ALTER TABLE cgroup_usage ADD COLUMN day date;
  UPDATE cgroup_usage SET day = (measured AT TIME ZONE 'UTC')::date;
  ALTER TABLE cgroup_usage DROP CONSTRAINT cgroup_usage_pkey, ADD PRIMARY KEY (host, id, day);
EXCEPTION WHEN undefined_table OR undefined_column THEN NULL;
END $$;

-- The last figures of each cgroup on each day (UTC) on which it was measured.
CREATE TABLE IF NOT EXISTS cgroup_usage (
  host text NOT NULL,
  id text NOT NULL,              -- boot id and inode: never used by another cgroup, unlike the path
  day date NOT NULL,
  measured timestamptz NOT NULL,
  path text NOT NULL,
  report integer NOT NULL,       -- above 1 if the cgroup was used again after it was reported empty
  age_seconds double precision,
  -- These count from the cgroup's creation. NULL: the host's kernel or cgroup2 hierarchy has no
  -- such figure.
  cpu_seconds double precision,
  cpu_user_seconds double precision,
  cpu_system_seconds double precision,
  memory_peak_bytes bigint,
  oom_kills bigint,
  pids_peak bigint,
  io_read_bytes bigint,
  io_write_bytes bigint,
  PRIMARY KEY (host, id, day)
);

CREATE INDEX IF NOT EXISTS cgroup_usage_day ON cgroup_usage (day);

-- The usage of each cgroup on each day: its figures, less those of the latest earlier day on which
-- it was measured. Without interim_seconds, all usage is on the day on which the cgroup became
-- empty.
--
--   SELECT path, sum(cpu_seconds) FROM cgroup_day WHERE day = '2026-01-31' GROUP BY path
CREATE OR REPLACE VIEW cgroup_day AS
  SELECT usage.day, usage.host, usage.id, usage.path,
    usage.cpu_seconds - coalesce(before.cpu_seconds, 0) AS cpu_seconds,
    usage.io_read_bytes - coalesce(before.io_read_bytes, 0) AS io_read_bytes,
    usage.io_write_bytes - coalesce(before.io_write_bytes, 0) AS io_write_bytes
  FROM cgroup_usage AS usage
  LEFT JOIN LATERAL (
    SELECT cpu_seconds, io_read_bytes, io_write_bytes FROM cgroup_usage AS earlier
    WHERE earlier.host = usage.host AND earlier.id = usage.id AND earlier.day < usage.day
    ORDER BY earlier.day DESC LIMIT 1
  ) AS before ON true;
