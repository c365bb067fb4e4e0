-- The tables of customers.lua. It may be run again: psql -d accounting -f customers.sql

-- What customers used, to be read by whoever writes the bills.
CREATE TABLE IF NOT EXISTS customer_usage (
  customer text NOT NULL,
  day date NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,      -- of the largest cgroup
  PRIMARY KEY (customer, day)
);

-- How much of each cgroup is in it already, and when it was measured. Rows that are older than
-- any report that may still come may be deleted: without reports of running cgroups that is the
-- age of the oldest cgroup on any host, with them the longest time that a host may be cut off.
CREATE TABLE IF NOT EXISTS customer_cgroup (
  host text NOT NULL,
  id text NOT NULL,
  reported date NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  PRIMARY KEY (host, id)
);
