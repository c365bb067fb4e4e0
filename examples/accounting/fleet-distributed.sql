-- The tables of fleet.sql on several servers: hosts are divided among shards, each of which is
-- a PostgreSQL server with fleet.sql that a host reports to (host= in fleet.lua). A coordinator
-- has the bills of all. Nothing that a host calls leaves its shard, so that shards take as many
-- rows as there are of them, and the loss of one is that of its hosts alone.
--
-- On the coordinator, as a superuser, once for each shard that is added (it may be run again):
--   psql -d accounting -v shard=shard1 -v host=db1.example -v port=5432 -f fleet-distributed.sql
-- with fleet-views.sql beside it; for each other role than the superuser's that reads there:
--   CREATE USER MAPPING FOR ... SERVER shard1 OPTIONS (user 'fleet_reports', password '...')
--
-- docs/fleet.md has what would be different with the extension Citus.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
BEGIN;

CREATE EXTENSION IF NOT EXISTS postgres_fdw;

-- Shards are asked at the same time.
SELECT format('CREATE SERVER %I FOREIGN DATA WRAPPER postgres_fdw
    OPTIONS (host %L, port %L, dbname %L, async_capable %L, fetch_size %L)',
  :'shard', :'host', :'port', current_database(), 'true', '10000')
WHERE NOT EXISTS (SELECT FROM pg_foreign_server WHERE srvname = :'shard') \gexec
SELECT format('CREATE USER MAPPING IF NOT EXISTS FOR CURRENT_USER SERVER %I OPTIONS (user %L)',
  :'shard', current_user) \gexec

-- The bills of all shards; it has no rows itself.
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
-- Their sums by host, and which days of which hosts are on the bill.
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

-- Ask for a day by its date: shards are not told of conditions with now(), and send all.
\ir fleet-views.sql

COMMIT;
