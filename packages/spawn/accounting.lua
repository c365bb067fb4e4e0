-- The default accounting script of cm4all-spawn(8). It does nothing: cgroups that become empty
-- are logged and deleted.
--
-- To account them, write a script to /etc/cm4all/spawn/accounting.lua. There are examples in
-- /usr/share/doc/cm4all-spawn/examples.

function cgroup_released(cgroup)
end
