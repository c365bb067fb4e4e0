-- Totals for each customer and day in PostgreSQL; customers.sql has the tables.
--
-- The spawner names the customer of a cgroup in the extended attribute `user.account` of its
-- directory. The figures of a cgroup include those of the cgroups below it, so only cgroups
-- with the attribute are counted.
--
-- With `interim_seconds` in the configuration, running cgroups are counted, too, so that a
-- cgroup that runs for months is on the bill of each day. Such a cgroup is reported several
-- times, each time with its figures since its creation. So the statement stores the new figures,
-- and adds the difference between the new and the stored figures to the day on which the new ones
-- were measured. A repeated report adds nothing.

handlers_bear_repetition = true

local db = pg:new("dbname=accounting")
local host = assert(io.open("/proc/sys/kernel/hostname")):read()

-- The same report may come again while the server still executes the statement of a script that was
-- killed. The second statement then waits until the first one has ended. A query within the second
-- statement would not find the first one's row, because that row did not exist yet when the second
-- statement began; only `known` is that row. So the difference is computed from `known`, and is
-- stored, because RETURNING returns only what is stored.
local STATEMENT = [[
  WITH now AS (
    INSERT INTO customer_cgroup AS known (host, id, reported, cpu_seconds, io_bytes,
      cpu_added, io_added)
    VALUES ($1, $2, (to_timestamp($7) AT TIME ZONE 'UTC')::date, $4, $5, $4, $5)
    ON CONFLICT (host, id) DO UPDATE SET reported = greatest(known.reported, EXCLUDED.reported),
      cpu_seconds = greatest(known.cpu_seconds, EXCLUDED.cpu_seconds),
      io_bytes = greatest(known.io_bytes, EXCLUDED.io_bytes),
      cpu_added = greatest(EXCLUDED.cpu_seconds - known.cpu_seconds, 0),
      io_added = greatest(EXCLUDED.io_bytes - known.io_bytes, 0)
    RETURNING cpu_added, io_added
  )
  INSERT INTO customer_usage AS total (customer, day, cpu_seconds, io_bytes, memory_peak_bytes)
  SELECT $3, (to_timestamp($7) AT TIME ZONE 'UTC')::date, cpu_added, io_added, $6 FROM now
  ON CONFLICT (customer, day) DO UPDATE SET
    cpu_seconds = total.cpu_seconds + EXCLUDED.cpu_seconds,
    io_bytes = total.io_bytes + EXCLUDED.io_bytes,
    memory_peak_bytes = greatest(total.memory_peak_bytes, EXCLUDED.memory_peak_bytes)
]]

-- The UTF-8 sequences of all characters that are not ASCII. The database refuses any other
-- sequence, such as that of a surrogate.
local CHARACTERS = {
  "^[\194-\223][\128-\191]$",
  "^\224[\160-\191][\128-\191]$",
  "^[\225-\236\238\239][\128-\191][\128-\191]$",
  "^\237[\128-\159][\128-\191]$",
  "^\240[\144-\191][\128-\191][\128-\191]$",
  "^[\241-\243][\128-\191][\128-\191][\128-\191]$",
  "^\244[\128-\143][\128-\191][\128-\191]$",
}

-- An extended attribute may contain any bytes, but text in the database must be valid UTF-8.
local function printable(bytes)
  return (bytes:gsub("[%c\128-\255][\128-\191]*", function(sequence)
    for _, character in ipairs(CHARACTERS) do
      if sequence:find(character) then
        return sequence
      end
    end
    return (sequence:gsub(".", function(c) return ("\\x%02x"):format(c:byte()) end))
  end))
end

function cgroup_released(cgroup)
  local customer = cgroup.xattr.account
  if not customer then
    return
  end
  assert(db:execute(STATEMENT, {
    host, cgroup.id, printable(customer), cgroup.cpu_total or 0,
    (cgroup.io_read_bytes or 0) + (cgroup.io_write_bytes or 0),
    cgroup.memory_peak or pg.null, cgroup.measured,
  }))
end

cgroup_running = cgroup_released
