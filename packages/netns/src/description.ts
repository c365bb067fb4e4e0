/** The description of a namespace in NAME.toml, as data. Pure; describe.ts reads it from TOML. */
import type { IpPrefix, LinkTuning, Route } from "@cm4all/linux";

/** A value of the description, with its line. */
export interface Located<T> {
  readonly value: T;
  /** `FILE:LINE` */
  readonly origin: string;
}

/** A VLAN on a link, with its addresses. */
export interface VlanDescription {
  readonly id: number;
  /** The name of the VLAN's own link. */
  readonly name: string;
  readonly mtuBytes?: number | undefined;
  readonly addresses: readonly Located<IpPrefix>[];
  readonly routes: readonly Located<Route>[];
  readonly origin: string;
}

/** An end of a veth pair, or a link that has no other end. */
export interface EndDescription {
  readonly mtuBytes?: number | undefined;
  readonly mac?: Buffer | undefined;
  /** True to bring the link up, false to leave it down; undefined if the key is missing. */
  readonly up?: boolean | undefined;
  readonly tuning?: LinkTuning | undefined;
  readonly addresses: readonly Located<IpPrefix>[];
  /** The routes, in an order in which each gateway can be reached when it is needed. */
  readonly routes: readonly Located<Route>[];
  readonly vlans?: readonly VlanDescription[] | undefined;
}

export const noEnd: EndDescription = { addresses: [], routes: [] };

/** The bridge port that the host's end of a veth pair becomes. */
export interface BridgePort {
  readonly bridge: string;
  /** The VLAN of frames without a tag; undefined for the bridge's default. */
  readonly vlan?: number | undefined;
  /** VLANs whose frames keep their tags. */
  readonly taggedVlans: readonly number[];
  readonly isolated: boolean;
}

/** A port of the host that leads to a port inside. */
export interface PublishedPort {
  /** An address of the host; undefined for all. */
  readonly address?: string | undefined;
  readonly hostPort: number;
  readonly insidePort: number;
  readonly protocol: "tcp" | "udp";
}

interface LinkBase {
  /** The link's name inside. */
  readonly name: string;
  readonly inside: EndDescription;
  /** `FILE:LINE` of the link's table; empty if it has no table. */
  readonly origin: string;
}

export interface VethDescription extends LinkBase {
  readonly type: "veth";
  /** The name of the host's end; undefined if it is the name of the namespace. */
  readonly hostName?: string | undefined;
  readonly outside: EndDescription;
  readonly port?: Located<BridgePort> | undefined;
  /** The families whose packets leave with the host's address. */
  readonly masquerade?: Located<readonly ("ipv4" | "ipv6")[]> | undefined;
  readonly publish: readonly Located<PublishedPort>[];
  /**
   * Links of the host through which packets leave and answers arrive; undefined for the links of
   * the host's default routes.
   */
  readonly uplinks?: readonly Located<string>[] | undefined;
  /** `FILE:LINE` of `addresses = "auto"`; undefined if no addresses come from the pool. */
  readonly auto?: string | undefined;
}

export interface StackedDescription extends LinkBase {
  readonly type: "macvlan" | "ipvlan" | "vlan" | "move";
  /** The host's link on which this link is based, or the link that is moved. */
  readonly parent: Located<string>;
  /** The mode of a macvlan or ipvlan. */
  readonly mode?: string | undefined;
  /** The id of a VLAN. */
  readonly id?: number | undefined;
}

export type LinkDescription = VethDescription | StackedDescription;

export type Policy = "open" | "closed";

/** Packets that a closed direction lets through. */
export interface AcceptRule {
  readonly match: "tcp" | "udp" | "icmp" | "any";
  /** The ports, `80` or `8000-8100`; undefined for all. */
  readonly ports?: string | undefined;
  /** The source of incoming packets or the destination of outgoing packets; undefined for any. */
  readonly peer?: IpPrefix | undefined;
}

export interface FirewallDescription {
  /** Whose netfilter hooks see the packets: the host's, or the described namespace's. */
  readonly place: "outside" | "inside";
  readonly incoming: Policy;
  readonly outgoing: Policy;
  readonly acceptIncoming: readonly AcceptRule[];
  readonly acceptOutgoing: readonly AcceptRule[];
  readonly origin: string;
}

export interface DnsDescription {
  /** "auto": the resolver that listens on the host's end of a veth pair. */
  readonly servers: "auto" | readonly string[];
  /** Lines of resolv.conf(5) in addition to the servers. */
  readonly lines: readonly string[];
  readonly origin: string;
}

export interface Description {
  readonly links: readonly LinkDescription[];
  readonly sysctl: readonly Located<{ readonly key: string; readonly value: string }>[];
  readonly dns?: DnsDescription | undefined;
  readonly firewall?: FirewallDescription | undefined;
}

/** The only link of a namespace that no file describes. */
export const plainVeth: VethDescription = {
  type: "veth",
  name: "net0",
  inside: noEnd,
  outside: noEnd,
  publish: [],
  origin: "",
};

/** Returns the name of a pair's host end: the namespace's, unless the description gives another. */
export const hostNameOf = (link: VethDescription, namespace: string): string =>
  link.hostName ?? namespace;
