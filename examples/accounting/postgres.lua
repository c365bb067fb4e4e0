-- One row in PostgreSQL for each cgroup and day; postgres.sql has the table.
--
-- Figures count from the cgroup's creation, so a later report replaces an earlier one of the same
-- day, and a repeated report changes nothing.

handlers_bear_repetition = true

local db = pg:new("dbname=accounting")
local host = assert(io.open("/proc/sys/kernel/hostname")):read()

local STATEMENT = [[
  INSERT INTO cgroup_usage AS known (host, id, day, measured, path, report, age_seconds,
    cpu_seconds, cpu_user_seconds, cpu_system_seconds, memory_peak_bytes, oom_kills,
    pids_peak, io_read_bytes, io_write_bytes)
  SELECT $1, id, (to_timestamp(measured) AT TIME ZONE 'UTC')::date, to_timestamp(measured),
    path, report, age, cpu, cpu_user, cpu_system, memory, oom_kills, pids, io_read, io_write
  FROM unnest($2::text[], $3::float8[], $4::text[], $5::integer[], $6::float8[],
    $7::float8[], $8::float8[], $9::float8[], $10::bigint[], $11::bigint[], $12::bigint[],
    $13::bigint[], $14::bigint[]) AS list (id, measured, path, report, age,
    cpu, cpu_user, cpu_system, memory, oom_kills, pids, io_read, io_write)
  ON CONFLICT (host, id, day) DO UPDATE SET
    measured = greatest(known.measured, EXCLUDED.measured),
    report = greatest(known.report, EXCLUDED.report),
    age_seconds = greatest(known.age_seconds, EXCLUDED.age_seconds),
    cpu_seconds = greatest(known.cpu_seconds, EXCLUDED.cpu_seconds),
    cpu_user_seconds = greatest(known.cpu_user_seconds, EXCLUDED.cpu_user_seconds),
    cpu_system_seconds = greatest(known.cpu_system_seconds, EXCLUDED.cpu_system_seconds),
    memory_peak_bytes = greatest(known.memory_peak_bytes, EXCLUDED.memory_peak_bytes),
    oom_kills = greatest(known.oom_kills, EXCLUDED.oom_kills),
    pids_peak = greatest(known.pids_peak, EXCLUDED.pids_peak),
    io_read_bytes = greatest(known.io_read_bytes, EXCLUDED.io_read_bytes),
    io_write_bytes = greatest(known.io_write_bytes, EXCLUDED.io_write_bytes)
]]

-- The name of a cgroup may contain any bytes, but text in the database must be valid UTF-8.
local function printable(path)
  return (path:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- Returns the attribute `name` of each cgroup, as an array with NULL where the kernel did not
-- report it.
local function column(cgroups, name)
  local values = {}
  for i, cgroup in ipairs(cgroups) do
    values[i] = cgroup[name] or pg.null
  end
  return pg:encode_array(values)
end

local function account(cgroups)
  local paths = {}
  for i, cgroup in ipairs(cgroups) do
    paths[i] = printable(cgroup.path)
  end
  assert(db:execute(STATEMENT, {
    host, column(cgroups, "id"), column(cgroups, "measured"), pg:encode_array(paths),
    column(cgroups, "report"), column(cgroups, "age"),
    column(cgroups, "cpu_total"), column(cgroups, "cpu_user"), column(cgroups, "cpu_system"),
    column(cgroups, "memory_peak"), column(cgroups, "memory_events_oom_kill"),
    column(cgroups, "pids_peak"),
    column(cgroups, "io_read_bytes"), column(cgroups, "io_write_bytes"),
  }))
end

cgroups_released = account

-- Called if interim_seconds is set. Then a cgroup has a row for each day on which it runs, and the
-- view cgroup_day has the usage of each day.
cgroups_running = account
