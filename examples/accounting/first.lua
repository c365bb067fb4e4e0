-- The smallest script: what a cgroup needed at most, on the daemon's standard output.

function cgroup_released(cgroup)
  print(cgroup.memory_max_usage)
end
