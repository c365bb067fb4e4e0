// @ts-check
import { nodeNames } from "./architecture.mjs";

/** The Debian packages of programs that the daemon runs. */
export const runtimePackages = ["catatonit", "util-linux"];

/** The Debian packages, in addition to Node itself, with which ours are built and checked. */
export const buildPackages = [
  "build-essential",
  "cmark-gfm",
  "debhelper",
  "dpkg-dev",
  "fakeroot",
  "lintian",
  "mandoc",
];

const compiler = ["gcc", "libc6-dev"];

/** The Debian packages of programs that measurements run. */
export const benchPackages = [...runtimePackages, ...compiler, "iproute2", "nftables", "procps"];

/**
 * The Debian packages of programs that tests run, by the directory in packages/ that has the tests.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const testPackages = {
  cgroup: [],
  client: ["catatonit", "procps"],
  command: [],
  deb: ["fish", "mandoc", "strace", "systemd", "zsh", ...benchPackages, ...buildPackages],
  dev: [],
  e2e: [],
  journal: ["strace"],
  linux: ["catatonit", ...compiler, "procps"],
  lua: ["iproute2", "luajit", "postgresql-client", ...compiler],
  netns: ["iproute2", "iputils-ping", "nftables", "procps", "strace"],
  "nss-logname": [...compiler, "git", "openssh-client", "python3", "valgrind"],
  protocol: [],
  slice: ["systemd"],
  spawn: [...runtimePackages, ...compiler, "iproute2", "procps"],
  start: [...runtimePackages],
  supervision: [],
};

/**
 * Returns the Debian packages with which ours are built for another architecture.
 * @param {string} architecture Debian's name; for this machine's, the list is empty
 */
export function crossBuildPackages(architecture) {
  const gnu = { amd64: "x86-64", arm64: "aarch64" }[architecture];
  const isOurs = nodeNames[architecture] === process.arch;
  if (gnu === undefined || isOurs) return [];
  const libraries = ["libc6", "libgcc-s1"].map((name) => `${name}:${architecture}`);
  return [`gcc-${gnu}-linux-gnu`, `libc6-dev-${architecture}-cross`, ...libraries];
}

/** The Debian packages with which tests boot a Debian system that has our packages. */
export const e2ePackages = [
  "e2fsprogs",
  "kmod",
  "mmdebstrap",
  "qemu-system-x86",
  "systemd-container",
];

/** Further packages, for an arm64 virtual machine. */
export const arm64Packages = ["arch-test", "qemu-system-arm", "qemu-user-static"];

/** The Debian packages with which a bare Debian system is made, to try a newcomer's steps on it. */
export const barePackages = ["e2fsprogs", "git", "mmdebstrap"];
