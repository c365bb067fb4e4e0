-- The smallest script: prints the peak memory usage of each cgroup.

function cgroup_released(cgroup)
  print(cgroup.memory_max_usage)
end
