-- The tables of customers.lua. This file may be run again: psql -d accounting -f customers.sql

-- The usage of customers: bills are written from this table.
CREATE TABLE IF NOT EXISTS customer_usage (
  customer text NOT NULL,
  day date NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,      -- of the largest cgroup
  PRIMARY KEY (customer, day)
);

-- For each cgroup, the figures that customer_usage already includes, and the day on which they were
-- measured. A row may be deleted when its cgroup cannot be reported again: when more time has
-- passed since `reported` than a host may be cut off from the database and, without
-- interim_seconds, every cgroup that still exists on the row's host was created after `reported`.
CREATE TABLE IF NOT EXISTS customer_cgroup (
  host text NOT NULL,
  id text NOT NULL,
  reported date NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  PRIMARY KEY (host, id)
);
-- What the last report has added to customer_usage; an earlier version of this file had no such
-- columns.
ALTER TABLE customer_cgroup ADD COLUMN IF NOT EXISTS cpu_added double precision NOT NULL DEFAULT 0,
  ADD COLUMN IF NOT EXISTS io_added bigint NOT NULL DEFAULT 0;
