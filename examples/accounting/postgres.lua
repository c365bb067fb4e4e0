-- One row in PostgreSQL for each cgroup; postgres.sql has the table.
--
-- A handler may see a cgroup more than once: after an error, after a restart of the daemon,
-- and when the cgroup was populated again. Each time its figures are those since its
-- creation, so that the newest row replaces the older one.

local db = pg:new("dbname=accounting")
local host = assert(io.open("/proc/sys/kernel/hostname")):read()

local STATEMENT = [[
  INSERT INTO cgroup_usage (host, id, path, report, reported, age_seconds, cpu_seconds,
    cpu_user_seconds, cpu_system_seconds, memory_peak_bytes, oom_kills, pids_peak,
    io_read_bytes, io_write_bytes)
  VALUES ($1, $2, $3, $4, now(), $5, $6, $7, $8, $9, $10, $11, $12, $13)
  ON CONFLICT (host, id) DO UPDATE SET
    report = EXCLUDED.report, reported = EXCLUDED.reported,
    age_seconds = EXCLUDED.age_seconds, cpu_seconds = EXCLUDED.cpu_seconds,
    cpu_user_seconds = EXCLUDED.cpu_user_seconds,
    cpu_system_seconds = EXCLUDED.cpu_system_seconds,
    memory_peak_bytes = EXCLUDED.memory_peak_bytes, oom_kills = EXCLUDED.oom_kills,
    pids_peak = EXCLUDED.pids_peak, io_read_bytes = EXCLUDED.io_read_bytes,
    io_write_bytes = EXCLUDED.io_write_bytes
]]

-- The name of a cgroup is bytes, a text in the database is valid UTF-8.
local function printable(path)
  return (path:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

function cgroup_released(cgroup)
  local null = pg.null
  assert(db:execute(STATEMENT, {
    host, cgroup.id, printable(cgroup.path), cgroup.report,
    cgroup.age or null,
    cgroup.cpu_total or null, cgroup.cpu_user or null, cgroup.cpu_system or null,
    cgroup.memory_peak or null, cgroup.memory_events_oom_kill or null,
    cgroup.pids_peak or null,
    cgroup.io_read_bytes or null, cgroup.io_write_bytes or null,
  }))
end
