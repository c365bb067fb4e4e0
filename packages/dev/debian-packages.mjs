// @ts-check
/** Debian packages that the daemon runs. */
export const runtimePackages = ["catatonit", "util-linux"];

/** Debian packages that the tests run besides. */
export const testPackages = [
  "iproute2",
  "iputils-ping",
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

/** Debian packages that build and check ours, besides Node itself. */
export const buildPackages = [
  "build-essential",
  "debhelper",
  "dh-nss",
  "dpkg-dev",
  "fakeroot",
  "lintian",
];

/** Debian packages that boot a Debian with ours in it. */
export const e2ePackages = ["e2fsprogs", "mmdebstrap", "qemu-system-x86", "systemd-container"];

/** Debian packages that make a bare Debian, in which a newcomer's steps are tried. */
export const barePackages = ["git", "mmdebstrap"];
