// @ts-check
/**
 * The architecture for which the suite is built; in a cross-build, it differs from this machine's.
 */

/**
 * Node's names for the architectures, by Debian's names. ffi-rs has an addon for each of them; no
 * other architectures are tested.
 * @type {Readonly<Record<string, string>>}
 */
export const nodeNames = { amd64: "x64", arm64: "arm64" };

/**
 * Returns Node's name for the architecture that `dpkg-buildpackage --host-arch` builds for.
 * @throws Error if the suite cannot be built for it
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

/**
 * Returns the architecture of this machine, for the programs that the build itself runs, and the
 * architecture for which it builds, if that is another one.
 */
export function architectures() {
  return [...new Set([process.arch, hostArchitecture()])];
}

/**
 * Returns the file name of the addon that makes system calls (packages/linux/c).
 * @param {string} architecture Node's name
 */
export function syscallAddon(architecture) {
  return `syscall.linux-${architecture}.node`;
}
