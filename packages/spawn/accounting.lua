-- The accounting script of cm4all-spawn(8) where a host has none of its own. It does
-- nothing: cgroups that run empty are logged and deleted.
--
-- To account them, put a script of yours into /etc/cm4all/spawn/accounting.lua; there
-- are examples in /usr/share/doc/cm4all-spawn/examples.

function cgroup_released(cgroup)
end
