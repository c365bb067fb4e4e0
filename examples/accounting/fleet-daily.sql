-- The daily work on the tables of fleet.sql. Run it from cron or a timer, as a member of
-- fleet_owner:
--
--   psql -d accounting -f fleet-daily.sql

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET ROLE fleet_owner;

-- Partitions for the next 14 days. If this file is not run for more than 14 days, hosts keep their
-- reports until it is run again.
CALL make_fleet_days(14);
CALL bill_fleet();

-- Rows are kept for 90 days, bills for ever. Dropping rows waits for transactions that read them.
SELECT fleet_days_to_drop(90) \gexec
DELETE FROM fleet_early WHERE day < (now() AT TIME ZONE 'UTC')::date - 90;
