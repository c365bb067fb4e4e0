-- Prints one line for each cgroup to the standard output, which under systemd goes to systemd's
-- journal:
--
--   path="/bp-spawn.scope/shop" cpu_total=1.84 memory_peak=52428800 pids_peak=5
--
-- Figures that the kernel did not report are left out. Printing does not count as an effect, so a
-- handler that fails is called again.

local FIGURES = {
  "age", "cpu_total", "cpu_user", "cpu_system", "memory_peak", "memory_events_oom_kill",
  "pids_peak", "pids_events_max", "io_read_bytes", "io_write_bytes",
}

-- Names of cgroups are not trusted: they must not look like another line of the log or be
-- unreadable.
local function quote(text)
  local escaped = text:gsub('[%c"\\\128-\255]', function(c) return ("\\x%02x"):format(c:byte()) end)
  return '"' .. escaped .. '"'
end

function cgroup_released(cgroup)
  local words = {"path=" .. quote(cgroup.path)}
  for _, name in ipairs(FIGURES) do
    if cgroup[name] then
      words[#words + 1] = name .. "=" .. cgroup[name]
    end
  end
  print(table.concat(words, " "))
end
