-- The default accounting script of cm4all-spawn(8). Its handler does nothing: cgroups that become
-- empty are only logged and deleted.
--
-- To account for the usage of cgroups, install a script of your own as
-- /etc/cm4all/spawn/accounting.lua. There are examples in /usr/share/doc/cm4all-spawn/examples.

function cgroup_released(cgroup)
end
