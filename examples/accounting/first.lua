-- The smallest script: prints the peak of a cgroup's memory to the daemon's standard output.

function cgroup_released(cgroup)
  print(cgroup.memory_max_usage)
end
