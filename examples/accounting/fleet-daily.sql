-- What has to be done for the tables of fleet.sql each day, by cron or a timer of anybody who
-- is a member of fleet_owner:
--
--   psql -d accounting -f fleet-daily.sql

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET ROLE fleet_owner;

-- 14 days ahead. If this file is not run for so long, hosts keep their reports until it is.
CALL make_fleet_days(14);
CALL bill_fleet();

-- Rows are kept for 90 days, bills for good. It waits here for those who read the oldest rows.
SELECT fleet_days_to_drop(90) \gexec
