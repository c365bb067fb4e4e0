-- The table of postgres.lua. It may be run again: psql -d accounting -f postgres.sql

CREATE TABLE IF NOT EXISTS cgroup_usage (
  host text NOT NULL,
  id text NOT NULL,              -- boot id and inode: one cgroup, whatever it is called
  path text NOT NULL,
  report integer NOT NULL,       -- above 1 where it was populated again after it ran empty
  reported timestamptz NOT NULL,
  age_seconds double precision,
  -- Since the cgroup was created. NULL: the host's kernel or cgroup2 has no such figure.
  cpu_seconds double precision,
  cpu_user_seconds double precision,
  cpu_system_seconds double precision,
  memory_peak_bytes bigint,
  oom_kills bigint,
  pids_peak bigint,
  io_read_bytes bigint,
  io_write_bytes bigint,
  PRIMARY KEY (host, id)
);
