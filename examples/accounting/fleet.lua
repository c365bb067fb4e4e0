-- Many hosts account into one PostgreSQL server; fleet.sql has the tables, in one partition
-- for each day, and the views for reports.
--
-- Each host has one session with the server, however many handlers run: they queue for it.
-- A second pg:new() would be a second session.

local db = pg:new("dbname=accounting user=fleet_host") -- host=db.example sslmode=verify-full
local host = os.getenv("ACCOUNTING_HOST") or assert(io.open("/proc/sys/kernel/hostname")):read()

local function day(time)
  return os.date("!%Y-%m-%d", time)
end

-- The name of a cgroup is bytes, a text in the database is valid UTF-8.
local function printable(path)
  return (path:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

function cgroup_released(cgroup)
  local null = pg.null
  -- The attribute of a directory that somebody else removed cannot be read any more.
  local known, customer = pcall(function() return cgroup.xattr.account end)
  assert(db:execute("SELECT account_cgroup($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)", {
    day(), host, cgroup.id,
    cgroup.btime and day(cgroup.btime) or null,
    printable(cgroup.path),
    known and customer or null,
    cgroup.cpu_total or 0,
    (cgroup.io_read_bytes or 0) + (cgroup.io_write_bytes or 0),
    cgroup.memory_peak or null, cgroup.pids_peak or null,
  }))
end
