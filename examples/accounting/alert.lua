-- Asks the web server to replace a customer's processes after the kernel has killed one of them for
-- lack of memory, or has refused to start one: the remaining processes may hang.
--
-- The spawner names the customer of a cgroup in the extended attribute `user.account` of the
-- cgroup's directory. CONTROL is the web server's control socket: "@bp-control", "/run/control" or
-- "192.0.2.1:5478".

-- The handler may be called again: a command that is sent twice does no harm.
handlers_bear_repetition = true

local CONTROL = os.getenv("CONTROL") or "@bp-control"

local function tell(customer)
  local client, message = control_client:new(CONTROL)
  if not client then
    return nil, message
  end
  return client:send(client:build():fade_children(customer))
end

-- The name is not trusted: it must not look like another line of the log or be unreadable.
local function printable(bytes)
  return (bytes:gsub("[%c\128-\255]", function(c) return ("\\x%02x"):format(c:byte()) end))
end

function cgroup_released(cgroup)
  local killed = cgroup.memory_events_oom_kill or 0
  local refused = cgroup.pids_events_max or 0
  if killed == 0 and refused == 0 then
    return
  end
  local customer = cgroup.xattr.account
  if not customer then
    return
  end
  print(("%s: %d processes killed for lack of memory, %d not started"):format(
    printable(customer), killed, refused))
  -- If the web server is not running, it has no processes to replace, so an error is only printed.
  local sent, message = tell(customer)
  if not sent then
    print(("%s: %s"):format(CONTROL, message))
  end
end
