-- The tables of fleet.sql on several servers. Hosts are divided among shards: each shard is a
-- PostgreSQL server with fleet.sql, and each host reports to one shard (host= in fleet.lua). A
-- coordinator has the bills of all hosts. A host's reports concern only its shard, so twice as many
-- shards accept twice as many rows, and the loss of a shard affects only its own hosts.
--
-- Run this file on the coordinator, as a superuser, once for each new shard (it may be run again):
--   psql -d accounting -v shard=shard1 -v host=db1.example -v port=5432 -f fleet-distributed.sql
-- fleet-views.sql has to be in the same directory. For each other role that reads the tables on the
-- coordinator, run the following statement; the user is a member of fleet_reader on the shard:
--   CREATE USER MAPPING FOR ... SERVER shard1 OPTIONS (user 'fleet_reports', password '...')
--
-- docs/fleet.md describes what would be different with the extension Citus.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

CREATE EXTENSION IF NOT EXISTS postgres_fdw;

-- async_capable: all shards are queried at the same time.
SELECT format('CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host %L, port %L, dbname %L, async_capable %L, fetch_size %L)',
  :'shard', :'host', :'port', current_database(), 'true', '10000')
WHERE NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = :'shard') \gexec
SELECT format('CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER %I OPTIONS (user %L)',
  :'shard', current_user) \gexec

-- The bills of all shards. The table has no rows of its own.
CREATE TABLE IF NOT EXISTS fleet_bill (
  day date NOT NULL,
  month date NOT NULL,
  cgroups bigint NOT NULL,
  cpu_seconds double precision NOT NULL,
  io_bytes bigint NOT NULL,
  memory_peak_bytes bigint,
  pids_peak bigint,
  oom_kills bigint NOT NULL,
  refused_forks bigint NOT NULL,
  customer text,
  host text NOT NULL
);
-- The sums of the bills by host, and the days for which each host has sent reports.
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
  is_nobodys boolean NOT NULL
);
CREATE TABLE IF NOT EXISTS fleet_host_day (
  host text NOT NULL,
  day date NOT NULL,
  reports bigint NOT NULL,
  billed bigint NOT NULL,
  last_report timestamptz NOT NULL
);
SELECT format('CREATE FOREIGN TABLE IF NOT EXISTS %I () INHERITS (%I) SERVER %I
    OPTIONS (table_name %L)', name || '_' || :'shard', name, :'shard', name)
FROM unnest(ARRAY['fleet_bill', 'fleet_bill_host', 'fleet_host_day']) AS name \gexec

-- In queries of these views, write a day as a date: a condition with now() is not sent to the
-- shards, so they send the rows of all days.
\ir fleet-views.sql

COMMIT;
