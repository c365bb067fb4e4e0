-- Many hosts account into one PostgreSQL server; fleet.sql has the tables, in one partition
-- for each day, and the views for reports.
--
-- Each host has one session with the server, which takes its cgroups in lists. A second
-- pg:new() would be a second session.

handlers_bear_repetition = true

-- Without a host it is the server of this machine, as the role of the daemon's own user.
local db = pg:new("dbname=accounting") -- host=db.example sslmode=verify-full
local host = os.getenv("ACCOUNTING_HOST") or assert(io.open("/proc/sys/kernel/hostname")):read()

local STATEMENT = "SELECT account_cgroups($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"

-- Names and attributes are bytes, a text in the database is valid UTF-8.
local function printable(bytes)
  return (bytes:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

-- One value of all cgroups; nil is NULL.
local function column(cgroups, value)
  local values = {}
  for i, cgroup in ipairs(cgroups) do
    values[i] = value(cgroup) or pg.null
  end
  return pg:encode_array(values)
end

local function customer(cgroup)
  local account = cgroup.xattr.account
  return account and printable(account)
end

local function account(cgroups)
  assert(db:execute(STATEMENT, {
    host,
    column(cgroups, function(c) return c.id end),
    column(cgroups, function(c) return c.measured end),
    column(cgroups, function(c) return c.btime end),
    column(cgroups, function(c) return printable(c.path) end),
    column(cgroups, customer),
    column(cgroups, function(c) return c.cpu_total or 0 end),
    column(cgroups, function(c) return (c.io_read_bytes or 0) + (c.io_write_bytes or 0) end),
    column(cgroups, function(c) return c.memory_peak end),
    column(cgroups, function(c) return c.pids_peak end),
    column(cgroups, function(c) return c.memory_events_oom_kill end),
    column(cgroups, function(c) return c.pids_events_max end),
  }))
end

cgroups_released = account

-- Called if interim_seconds is set: with it, each day has what was used on it.
cgroups_running = account
