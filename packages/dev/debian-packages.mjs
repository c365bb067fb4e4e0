// @ts-check
import { nodeNames } from "./architecture.mjs";

/** Debian packages that the daemon runs. */
export const runtimePackages = ["catatonit", "util-linux"];

/** Debian packages that build and check ours, besides Node itself. */
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

/**
 * Debian packages that tests run, by the directory of the package whose tests they are.
 * @type {Readonly<Record<string, readonly string[]>>}
 */
export const testPackages = {
  cgroup: [],
  client: ["catatonit", "procps"],
  command: [],
  deb: ["fish", "iproute2", "mandoc", "systemd", "zsh", ...compiler, ...buildPackages],
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

/** Debian packages that measurements run. */
export const benchPackages = [...runtimePackages, ...compiler, "iproute2", "nftables", "procps"];

/**
 * Debian packages that build ours for another architecture.
 * @param {string} architecture Debian's name; an empty list for our own
 */
export function crossBuildPackages(architecture) {
  const gnu = { amd64: "x86-64", arm64: "aarch64" }[architecture];
  const isOurs = nodeNames[architecture] === process.arch;
  if (gnu === undefined || isOurs) return [];
  const libraries = ["libc6", "libgcc-s1"].map((name) => `${name}:${architecture}`);
  return [`gcc-${gnu}-linux-gnu`, `libc6-dev-${architecture}-cross`, ...libraries];
}

/** Debian packages that boot a Debian with ours in it. */
export const e2ePackages = [
  "e2fsprogs",
  "kmod",
  "mmdebstrap",
  "qemu-system-x86",
  "systemd-container",
];

/** Besides, for a virtual machine of arm64. */
export const arm64Packages = ["arch-test", "qemu-system-arm", "qemu-user-static"];

/** Debian packages that make a bare Debian, in which a newcomer's steps are tried. */
export const barePackages = ["e2fsprogs", "git", "mmdebstrap"];
