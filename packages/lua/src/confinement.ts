/**
 * Gives up privileges of the script host before it reads the script: system calls that neither
 * a script nor a program started by it needs. The daemon's unit has to allow some of them, because
 * the daemon needs them.
 */
import { closeInherited, type RefusedCall, shutOutTracers, tryRefuseCalls } from "@cm4all/linux";
import { HOST_FD } from "./host-fd.ts";

/**
 * The system calls that are refused, grouped like systemd's system call sets.
 * @see systemd.exec(5), SystemCallFilter=
 */
const REFUSED: readonly RefusedCall[] = [
  // Mounts and namespaces, which only the daemon needs.
  ...(["chroot", "mount", "mount_setattr", "move_mount", "open_tree", "pivot_root"] as const),
  ...(["fsconfig", "fsmount", "fsopen", "fspick", "setns", "umount2", "unshare"] as const),
  // Other processes: their memory, their descriptors.
  ...(["kcmp", "pidfd_getfd", "process_madvise", "process_vm_readv"] as const),
  ...(["process_vm_writev", "ptrace"] as const),
  // The machine.
  ...(["acct", "adjtimex", "clock_adjtime", "clock_settime", "delete_module"] as const),
  ...(["finit_module", "init_module", "kexec_file_load", "kexec_load", "quotactl"] as const),
  ...(["quotactl_fd", "reboot", "setdomainname", "sethostname", "settimeofday"] as const),
  ...(["swapoff", "swapon", "syslog"] as const),
  // Parts of the kernel that are known for their vulnerabilities. An io_uring that Node has
  // already set up continues to work, because io_uring_enter is not refused.
  ...(["add_key", "bpf", "fanotify_init", "io_uring_setup", "keyctl"] as const),
  ...(["open_by_handle_at", "perf_event_open"] as const),
  ...(["request_key", "userfaultfd"] as const),
];

/**
 * Confines this process and its children; cannot be undone.
 * @returns a message for the log if the kernel has no seccomp filters; otherwise undefined
 */
export function confine(): string | undefined {
  closeInherited(HOST_FD + 1);
  // A script's children run as the same user, and could take our socket to the daemon.
  shutOutTracers();
  if (tryRefuseCalls(REFUSED)) return undefined;
  return "the kernel has no seccomp filters: scripts can make every system call that their user may make";
}
