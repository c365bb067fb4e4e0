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

-- How much of each cgroup is in it already. Rows that are older than the oldest cgroup on
-- any host, 60 days perhaps, may be deleted.
CREATE TABLE IF NOT EXISTS customer_cgroup (
  host text NOT NULL,
  id text NOT NULL,
  reported date NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  PRIMARY KEY (host, id)
);
