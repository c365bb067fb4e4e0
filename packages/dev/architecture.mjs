// @ts-check
/** The architecture that is built for; another one than ours in a cross-build. */

/**
 * Node's names, by Debian's. ffi-rs has an addon for each; nothing is tested on others.
 * @type {Readonly<Record<string, string>>}
 */
export const nodeNames = { amd64: "x64", arm64: "arm64" };

/**
 * Node's name of the architecture that `dpkg-buildpackage --host-arch` builds for.
 * @throws Error where the suite cannot be built for it
 */
export function hostArchitecture(env = process.env) {
  const { DEB_HOST_ARCH } = env;
  if (!DEB_HOST_ARCH) return process.arch;
  const name = nodeNames[DEB_HOST_ARCH];
  if (name === undefined)
    throw new Error(
      `DEB_HOST_ARCH=${DEB_HOST_ARCH}: the suite is built for ${Object.keys(nodeNames).join(" and ")}`,
    );
  return name;
}

/** Ours, which runs what the build makes, and that which is built for. */
export function architectures() {
  return [...new Set([process.arch, hostArchitecture()])];
}

/**
 * The file name of the addon that makes system calls (packages/linux/c).
 * @param {string} architecture Node's name
 */
export function syscallAddon(architecture) {
  return `syscall.linux-${architecture}.node`;
}
