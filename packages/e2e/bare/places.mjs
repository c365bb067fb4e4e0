// @ts-check
/**
 * The places in which a newcomer may have the suite, and the ways in which the suite may have got
 * there. Each place is tried on a machine of its own.
 *
 * @typedef {object} Place
 * @property {string} title
 * @property {string} directory of the checkout
 * @property {string} [link]     a symbolic link to the directory, used in place of its path
 * @property {boolean} [tarball] unpacked from a tarball: without git and without .git
 * @property {boolean} [gcc]     a C compiler is already installed
 * @property {boolean} [user]    the user of the installed daemon already exists
 */

/** @type {Record<string, Place>} */
export const places = {
  clone: { title: "a fresh clone", directory: "/srv/spawn-suite" },
  root: { title: "in /root, with the service's user", directory: "/root/spawn-suite", user: true },
  blank: { title: "with a blank in the path", directory: "/srv/my files/spawn suite" },
  link: {
    title: "behind a symbolic link",
    directory: "/srv/disk2/spawn-suite",
    link: "/home/spawn-suite",
  },
  tarball: {
    title: "a tarball, without git, with a C compiler",
    directory: "/opt/spawn-suite",
    tarball: true,
    gcc: true,
  },
  // All that can be unusual about a clone, combined; the absence of git is left to `tarball`.
  worst: {
    title: "in /root, with blanks, behind a link, with the service's user",
    directory: "/root/my files/spawn suite",
    link: "/root/the suite",
    user: true,
  },
};

/**
 * Returns the commands to try in a place. They include `npm run deb` if the path or the source is
 * unusual; the tests without a network and the hosts of odd.mjs are tried in one place only.
 * @param {string} name
 */
export function commandsOf(name) {
  const isUnusual = ["blank", "link", "tarball", "worst"].includes(name);
  const more = name === "clone" ? ["odd"] : name === "tarball" ? ["offline-test"] : [];
  return ["start", "test", "offline", ...more, ...(isUnusual ? ["deb"] : [])];
}
