-- The views of the bills of one server (fleet.sql) and of several (fleet-distributed.sql). Both
-- files include this one.

CREATE OR REPLACE VIEW fleet_customer_days AS
  SELECT day, customer, sum(cgroups)::bigint AS cgroups, count(*) AS hosts,
    sum(cpu_seconds) AS cpu_seconds, sum(io_bytes) AS io_bytes,
    max(memory_peak_bytes) AS memory_peak_bytes, max(pids_peak) AS pids_peak,
    sum(oom_kills)::bigint AS oom_kills, sum(refused_forks)::bigint AS refused_forks
  FROM fleet_bill WHERE customer IS NOT NULL GROUP BY day, customer;

-- `month` is the first day of the month.
CREATE OR REPLACE VIEW fleet_customer_months AS
  SELECT month, customer, sum(cpu_seconds) AS cpu_seconds, sum(io_bytes) AS io_bytes,
    max(memory_peak_bytes) AS memory_peak_bytes, max(pids_peak) AS pids_peak,
    sum(oom_kills)::bigint AS oom_kills, sum(refused_forks)::bigint AS refused_forks
  FROM fleet_bill WHERE customer IS NOT NULL GROUP BY month, customer;

CREATE OR REPLACE VIEW fleet_host_days AS
  SELECT day, host, sum(cgroups)::bigint AS cgroups, sum(cpu_seconds) AS cpu_seconds,
    sum(io_bytes) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes,
    sum(oom_kills)::bigint AS oom_kills, sum(refused_forks)::bigint AS refused_forks
  FROM fleet_bill_host GROUP BY day, host;

-- All customers together.
CREATE OR REPLACE VIEW fleet_days AS
  SELECT day, sum(cgroups)::bigint AS cgroups, sum(cpu_seconds) AS cpu_seconds,
    sum(io_bytes) AS io_bytes, max(memory_peak_bytes) AS memory_peak_bytes,
    max(pids_peak) AS pids_peak, sum(oom_kills)::bigint AS oom_kills,
    sum(refused_forks)::bigint AS refused_forks
  FROM fleet_bill_host WHERE NOT is_nobodys GROUP BY day;

-- When each host reported last, and the days whose bills will change.
CREATE OR REPLACE VIEW fleet_hosts AS
  SELECT host, max(last_report) AS last_report,
    array_agg(day ORDER BY day) FILTER (WHERE reports > billed) AS unbilled_days
  FROM fleet_host_day GROUP BY host;
