// @ts-check
/** Hosts that lack something. On each, the suite works, or prints in one line what it needs. */

/**
 * @typedef {object} Oddity
 * @property {string} [setup]  shell commands, run in a new mount namespace
 * @property {string} [wrap]   a command that runs `setup` and `line`, such as `unshare --net`;
 *   without it, only `line` gets a network namespace of its own
 * @property {string} [line]   the command line; by default `npm start`, which has to succeed
 * @property {number} [status] the exit status that `line` has to have
 * @property {RegExp} [says]   a pattern of what `line` has to print
 */

const DAEMON = "node packages/spawn/dist/cm4all-spawn.js";
const NETNS = "node packages/netns/dist/cm4all-spawn-netns.js";
const SLICE = "node packages/slice/dist/cm4all-slice.js";

const NO_CGROUPS = "umount -l /sys/fs/cgroup";
const CGROUP_V1 =
  `${NO_CGROUPS}; mount -t tmpfs none /sys/fs/cgroup; mkdir /sys/fs/cgroup/memory; ` +
  "mount -t cgroup -o memory none /sys/fs/cgroup/memory";
const HYBRID = `${CGROUP_V1}; mkdir /sys/fs/cgroup/unified; mount -t cgroup2 none /sys/fs/cgroup/unified`;
/** Puts the description of a network namespace into a tmpfs of the mount namespace. */
const WEB =
  "mkdir -p /etc/cm4all/spawn/netns; mount -t tmpfs none /etc/cm4all/spawn/netns; " +
  "cp examples/netns/web.toml /etc/cm4all/spawn/netns";

/** Switches IPv6 off in a network namespace. */
const NO_IPV6 = "for i in all default; do echo 1 >/proc/sys/net/ipv6/conf/$i/disable_ipv6; done";

/** Leaves root only the capabilities that root has in a container by default. */
const CONTAINER =
  "setpriv --inh-caps=-all --bounding-set=-all,+chown,+dac_override,+fowner,+fsetid,+kill," +
  "+setgid,+setuid,+setpcap,+net_bind_service,+net_raw,+sys_chroot,+mknod,+audit_write,+setfcap";

/** The first process of a container: passes Ctrl-C on to all others, as a terminal does. */
const PASS_ON = 'sh -c "trap \\"kill -INT -1\\" INT; \\"\\$@\\" & wait; wait" sh';

const INSTALL = "apt-get -q -y -o APT::Install-Recommends=false install";

/** Makes Docker's system call filter available, from the Debian package with Docker's sources. */
const DOCKER_FILTER =
  "/usr/share/gocode/src/github.com/docker/docker/profiles/seccomp/default.json";
const GET_DOCKER_FILTER = `test -e ${DOCKER_FILTER} || ${INSTALL} golang-github-docker-docker-dev >/dev/null 2>&1; `;

/**
 * Returns shell commands for `setup` after which `line` runs in a container, with the capabilities
 * and the system call filter that podman gives its containers.
 * @param {string} options options of podman-run(1) @param {string} [first] the first process
 */
const inPodman = (options, first = "") =>
  `command -v podman >/dev/null || ${INSTALL} podman crun golang-github-containers-common ` +
  ">/dev/null 2>&1; mkdir -p /p; mount --bind / /p; " +
  "set -- podman --log-level=error --cgroup-manager=cgroupfs run --rm -i --network=host " +
  `--cgroups=disabled --workdir="$PWD" ${options} --rootfs /p:O ${first} "$@"`;

/** Options of podman-run(1) with which `npm start` works in a container. */
const CAPABLE = "--cap-add=SYS_ADMIN,DAC_READ_SEARCH --volume=/sys/fs/cgroup:/sys/fs/cgroup";

/** @type {Readonly<Record<string, Oddity>>} by title */
export const oddities = {
  "noexec /tmp": { setup: "mount -t tmpfs -o noexec none /tmp" },
  "noexec /run": { setup: "mount -t tmpfs -o noexec none /run" },
  "noexec /run: netns": {
    setup: `mount -t tmpfs -o noexec none /run; ${WEB}`,
    line: `sh -ec '${NETNS} up web; ${NETNS} exec web -- true; ${NETNS} down web'`,
    status: 0,
    says: /^$/,
  },
  "read-only /run: the daemon": {
    setup: "mount -t tmpfs -o ro none /run",
    // The daemon serves clients nevertheless.
    line: `sh -c 'timeout --preserve-status -s INT 20 ${DAEMON} --listen @odd'`,
    status: 0,
    says: /cannot listen on \/run\/\S+: .*; trying again\n\S+ listening on @odd\n/,
  },
  "read-only /run: netns": {
    setup: `mount -t tmpfs -o ro none /run; ${WEB}`,
    line: `${NETNS} up web`,
    status: 71,
    says: /^cm4all-spawn-netns: .*\/run\/cm4all-spawn-netns.*\n$/,
  },
  "cgroup v1 only: the daemon": {
    setup: CGROUP_V1,
    line: `sh -c 'timeout --preserve-status -s INT 20 ${DAEMON} --listen @odd'`,
    status: 0,
    says: /cgroup2 is not mounted: no cgroups are reaped\n/,
  },
  "cgroup v1 only: measure": {
    setup: CGROUP_V1,
    line: `${DAEMON} measure system.slice`,
    status: 78,
    says: /^cm4all-spawn: cgroup2 is not mounted; .*\n$/,
  },
  "cgroup v1 only: slice": {
    setup: CGROUP_V1,
    line: `${SLICE} status`,
    status: 69,
    says: /^cm4all-slice: no cgroup2 is mounted here\n$/,
  },
  "no cgroups: the daemon": {
    setup: NO_CGROUPS,
    line: `sh -c 'timeout --preserve-status -s INT 20 ${DAEMON} --listen @odd'`,
    status: 0,
    says: /cgroup2 is not mounted: no cgroups are reaped\n/,
  },
  "hybrid cgroups": { setup: HYBRID },
  "a chroot": {
    setup: 'mkdir -p /c; mount --rbind / /c; set -- chroot /c env --chdir="$PWD" "$@"',
  },
  "no IPv6": { setup: NO_IPV6, wrap: "unshare --net" },
  "no IPv6: netns": {
    setup: `${NO_IPV6}; ${WEB}`,
    wrap: "unshare --net",
    line: `sh -ec '${NETNS} up web; ${NETNS} exec web -- true; ${NETNS} down web'`,
    status: 0,
    says: /^$/,
  },
  "no CAP_SYS_ADMIN: the daemon": {
    line: `${CONTAINER} ${DAEMON} --listen @odd`,
    status: 77,
    says: /^cm4all-spawn: needs CAP_SYS_ADMIN: .*\n$/,
  },
  "no CAP_SYS_ADMIN: netns": {
    setup: WEB,
    line: `${CONTAINER} ${NETNS} up web`,
    status: 77,
    says: /^cm4all-spawn-netns: .*EPERM.*\n$/,
  },
  "a podman container: the daemon": {
    setup: inPodman(""),
    line: `${DAEMON} --listen @odd`,
    status: 77,
    says: /^cm4all-spawn: needs CAP_SYS_ADMIN: .*\n$/,
  },
  "a podman container: netns": {
    setup: inPodman(""),
    line: `sh -c 'cp examples/netns/web.toml /etc/cm4all/spawn/netns; ${NETNS} up web'`,
    status: 77,
    says: /^cm4all-spawn-netns: .*EPERM.*\n$/,
  },
  "a podman container with CAP_SYS_ADMIN": { setup: inPodman(CAPABLE, PASS_ON) },
  "a container with Docker's filter: the daemon": {
    setup: GET_DOCKER_FILTER + inPodman(`--security-opt=seccomp=${DOCKER_FILTER}`),
    line: `${DAEMON} --listen @odd`,
    status: 77,
    says: /^cm4all-spawn: needs CAP_SYS_ADMIN: .*\n$/,
  },
  "a container with Docker's filter and CAP_SYS_ADMIN: the daemon": {
    setup: GET_DOCKER_FILTER + inPodman(`${CAPABLE} --security-opt=seccomp=${DOCKER_FILTER}`),
    line: `${DAEMON} --listen @odd`,
    status: 71,
    says: /^\S+ cannot make the store of namespaces: pivot_root.* EPERM.*; a container may refuse .*\n$/,
  },
  "a container with CAP_SYS_ADMIN and CAP_NET_ADMIN: netns": {
    setup: inPodman("--cap-add=SYS_ADMIN,NET_ADMIN --tmpfs=/run"),
    line: `sh -ec 'echo [outside] >/etc/cm4all/spawn/netns/web.toml; ${NETNS} up web; ${NETNS} exec web -- true; ${NETNS} down web'`,
    status: 0,
    says: /^$/,
  },
};

/**
 * Tries a host, in a network namespace of its own: the bare machines, of which several may run at
 * the same time, share the network, and thus the abstract socket addresses.
 * @param {import("./terminal.mjs").Terminal} terminal
 * @param {string} title @param {Oddity} oddity
 */
export async function tryOddity(terminal, title, { setup = ":", wrap, line, status, says }) {
  const net = wrap === undefined ? "unshare --net " : "";
  const inside = `unshare --mount ${wrap ?? ""} sh -c '${setup}; exec ${net}"$@"' sh`;
  const log = `odd-${title.replaceAll(/[^\w]+/g, "-")}.log`;
  if (line === undefined) return terminal.mustStart(`${inside} npm start`, log);
  const result = await terminal.run(`${inside} ${line}`, log, 120);
  if (result.status !== status || says?.test(result.printed) !== true)
    throw new Error(`ended with ${result.status}: ${result.printed}`);
}
