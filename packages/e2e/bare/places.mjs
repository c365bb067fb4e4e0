// @ts-check
/**
 * Where and how a newcomer may have got the suite. Each is a machine of its own.
 *
 * @typedef {object} Place
 * @property {string} title
 * @property {string} directory of the checkout
 * @property {string} [link]     a symbolic link that leads there and is used in its place
 * @property {boolean} [tarball] without git, and without its directory
 * @property {boolean} [gcc]     a C compiler is there already
 * @property {boolean} [user]    the user of the installed daemon is there already
 */

/** @type {Record<string, Place>} */
export const places = {
  clone: { title: "a fresh clone", directory: "/srv/spawn-suite" },
  root: { title: "in /root, with the service's user", directory: "/root/spawn-suite", user: true },
  blank: { title: "with a blank in the path", directory: "/srv/my files/spawn suite" },
  link: {
    title: "behind a symbolic link, with a C compiler",
    directory: "/srv/disk2/spawn-suite",
    link: "/home/spawn-suite",
    gcc: true,
  },
  tarball: {
    title: "a tarball, without git",
    directory: "/opt/spawn-suite",
    tarball: true,
  },
  // All at once: what one place makes fail, this makes fail, too.
  worst: {
    title: "in /root, with blanks, behind a link, with the service's user",
    directory: "/root/my files/spawn suite",
    link: "/root/the suite",
    user: true,
  },
};

/**
 * What is tried in a place: `npm run deb` where the path or the source is not as usual, and
 * odd hosts once.
 * @param {string} name
 */
export function commandsOf(name) {
  const isUnusual = ["blank", "link", "tarball", "worst"].includes(name);
  const more = isUnusual ? ["deb"] : name === "clone" ? ["odd"] : [];
  return ["start", "test", "offline", ...more];
}
