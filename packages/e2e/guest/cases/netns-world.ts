/**
 * The surroundings for the cases about network namespaces: a network to which the host is
 * connected.
 */
import assert from "node:assert/strict";
import { attempt, sh } from "../tools/shell.ts";

export const CONFIG = "/etc/cm4all/spawn/netns";
export const EXAMPLES = "/usr/share/doc/cm4all-spawn-netns/examples/netns";
export const unitOf = (name: string): string => `cm4all-spawn-netns@${name}.service`;

const TOOLS = "/run/e2e-netns";

/** A server that answers each connection with the peer's address; in Perl, which starts quickly. */
const server = `use IO::Socket::IP;
my $socket = IO::Socket::IP->new(LocalHost => "::", LocalPort => $ARGV[0], V6Only => 0,
  Listen => 5, ReuseAddr => 1) or die $@;
open(my $ready, ">", $ARGV[1]); close($ready);
while (my $one = $socket->accept) { print $one $one->peerhost, "\\n"; close($one); }`;

/** Makes a namespace `world` behind the link up0, to which the host's default route leads. */
export function makeWorld(): void {
  for (const line of [
    "netns add world",
    "link add up0 type veth peer name far netns world",
    "link set up0 up",
    "-n world link set lo up",
    "-n world link set far up",
    "-n world address add 192.0.2.1/24 dev far",
    "-n world address add 2001:db8::1/64 dev far nodad",
    "address add 192.0.2.2/24 dev up0",
    "address add 2001:db8::2/64 dev up0 nodad",
    "route add default via 192.0.2.1",
    "-6 route add default via 2001:db8::1",
  ])
    sh(`ip ${line}`);
  // IPMasquerade= of systemd-networkd may have enabled forwarding for all links.
  sh("sysctl -qw net.ipv4.ip_forward=0");
  sh(`mkdir -p ${TOOLS}`);
  sh(`cat >${TOOLS}/server.pl <<'END'\n${server}\nEND`);
}

/** Removes what `makeWorld` has made. */
export function removeWorld(): void {
  attempt(`for pid in $(ip netns pids world); do kill $pid; done`);
  attempt(`ip link delete up0; ip netns delete world; rm -rf ${TOOLS}`);
}

const within = (netns: string | undefined): string =>
  netns === undefined ? "" : `ip netns exec ${netns} `;

/** Starts a server. It ends when `removeWorld` is called, or its namespace is taken down. */
export function listen(netns: string | undefined, port: number): void {
  const ready = `${TOOLS}/ready-${netns ?? "host"}-${port}`;
  sh(
    `rm -f ${ready}; ${within(netns)}perl ${TOOLS}/server.pl ${port} ${ready} >/dev/null 2>&1 & ` +
      `for i in $(seq 600); do [ -e ${ready} ] && exit; sleep 0.1; done; exit 1`,
  );
}

/**
 * Connects to a server that `listen` has started. Returns the address of the client as the server
 * sees it; undefined if nothing answers.
 */
export function ask(
  netns: string | undefined,
  host: string,
  port: number,
  slowness: number,
): string | undefined {
  const seconds = 2 * Math.sqrt(slowness);
  const { status, stdout } = attempt(
    `${within(netns)}timeout ${seconds} bash -c 'exec 3<>/dev/tcp/${host}/${port}; cat <&3'`,
  );
  return status === 0 ? stdout.trim().replace(/^::ffff:/, "") : undefined;
}

/** Pings an address. @param netns the namespace in which ping runs; undefined for the host */
export function pingFrom(netns: string | undefined, address: string): void {
  sh(`${within(netns)}ping -n -q -c 1 -W 20 ${address}`);
}

/**
 * Writes the description of a namespace, starts the namespace's unit, and stops the unit after
 * `use`. Checks that nothing is left behind.
 */
export async function withNamespace(
  name: string,
  description: string,
  use: () => void | Promise<void>,
): Promise<void> {
  sh(`cat >${CONFIG}/${name}.toml <<'END'\n${description}\nEND`);
  const before = state();
  try {
    sh(`cm4all-spawn-netns check ${name}`);
    assert.equal(state(), before);
    sh(`systemctl start ${unitOf(name)}`);
    assert.deepEqual(
      JSON.parse(sh(`cm4all-spawn-netns list --json`)).find(named(name)).problems,
      [],
    );
    await use();
    attempt(`for pid in $(ip netns pids ${name}); do kill $pid; done`);
    sh(`systemctl stop ${unitOf(name)}`);
    assert.equal(state(), before);
  } finally {
    attempt(`systemctl stop ${unitOf(name)}; systemctl reset-failed ${unitOf(name)}`);
    sh(`rm -f ${CONFIG}/${name}.toml`);
  }
}

const named =
  (name: string) =>
  (listed: { name: string }): boolean =>
    listed.name === name;

/** Returns the links, namespaces, tables, records and settings of the host. */
export function state(): string {
  return sh(
    "mkdir -p /run/cm4all-spawn-netns; ip -o link | cut -d: -f2; ls /run/netns; nft list tables; " +
      "ls /run/cm4all-spawn-netns /etc/netns 2>/dev/null; sysctl -a 2>/dev/null | grep 'conf.up0.*forwarding'",
  );
}
