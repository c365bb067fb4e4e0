// @ts-check
/** Debian packages that the daemon runs. */
export const runtimePackages = ["catatonit", "util-linux"];

/** Debian packages that the tests run besides. */
export const testPackages = [
  "iproute2",
  "procps",
  "gcc",
  "libc6-dev",
  "luajit",
  "systemd",
  "valgrind",
  "git",
  "openssh-client",
  "python3",
];
