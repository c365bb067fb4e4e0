-- Many hosts write their figures to one PostgreSQL server; fleet.sql has the tables, with one
-- partition for each day, and the views of the bills.
--
-- Each host has one session with the server, and sends the figures of its cgroups in lists. A
-- second pg:new() would open a second session.

handlers_bear_repetition = true

local host = os.getenv("ACCOUNTING_HOST") or assert(io.open("/proc/sys/kernel/hostname")):read()

-- Connects to the server on this machine, as the role of the user that runs the script. To connect
-- to another machine, as the role of this host, with the password in a file:
-- pg:new("host=db.example dbname=accounting sslmode=verify-full passfile=/etc/cm4all/spawn/pgpass user=" .. host)
local db = pg:new("dbname=accounting")

local STATEMENT = "SELECT account_cgroups($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

-- Paths and extended attributes may contain any bytes, but text in the database must be valid
-- UTF-8.
local function printable(bytes)
  return (bytes:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
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
  local paths, customers, io_bytes = {}, {}, {}
  for i, cgroup in ipairs(cgroups) do
    local customer = cgroup.xattr.account
    paths[i] = printable(cgroup.path)
    customers[i] = customer and printable(customer) or pg.null
    io_bytes[i] = (cgroup.io_read_bytes or 0) + (cgroup.io_write_bytes or 0)
  end
  assert(db:execute(STATEMENT, {
    host, column(cgroups, "id"), column(cgroups, "measured"), column(cgroups, "btime"),
    pg:encode_array(paths), pg:encode_array(customers),
    column(cgroups, "cpu_total"), pg:encode_array(io_bytes),
    column(cgroups, "memory_peak"), column(cgroups, "pids_peak"),
    column(cgroups, "memory_events_oom_kill"), column(cgroups, "pids_events_max"),
  }))
end

cgroups_released = account

-- Called if interim_seconds is set. Then the bill of each day has the usage of that day.
cgroups_running = account
