/** A namespace as NAME.toml describes it, as data. Pure; describe.ts reads it from TOML. */
import type { IpPrefix, LinkTuning, Route } from "@cm4all/linux";

/** A value of the description, with the line that says it. */
export interface Located<T> {
  readonly value: T;
  /** `FILE:LINE` */
  readonly origin: string;
}

/** A VLAN on top of a link, with the addresses that are in it. */
export interface VlanDescription {
  readonly id: number;
  /** Of the VLAN's own link. */
  readonly name: string;
  readonly mtuBytes?: number | undefined;
  readonly addresses: readonly Located<IpPrefix>[];
  readonly routes: readonly Located<Route>[];
  readonly origin: string;
}

/** One end of a pair, or a link that has no other end. */
export interface EndDescription {
  readonly mtuBytes?: number | undefined;
  readonly mac?: Buffer | undefined;
  /** Whether to set the link up, where the description says so. */
  readonly up?: boolean | undefined;
  readonly tuning?: LinkTuning | undefined;
  readonly addresses: readonly Located<IpPrefix>[];
  /** In an order in which each gateway can be reached when it is needed. */
  readonly routes: readonly Located<Route>[];
  readonly vlans?: readonly VlanDescription[] | undefined;
}

export const noEnd: EndDescription = { addresses: [], routes: [] };

/** The port of a bridge that the host's end of a pair becomes. */
export interface BridgePort {
  readonly bridge: string;
  /** The VLAN of frames without a tag; undefined for the bridge's default. */
  readonly vlan?: number | undefined;
  /** VLANs whose frames keep their tags. */
  readonly taggedVlans: readonly number[];
  readonly isolated: boolean;
}

/** A port of the host that leads to one inside. */
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
  /** Where the file speaks of the link. */
  readonly origin: string;
}

export interface VethDescription extends LinkBase {
  readonly type: "veth";
  /** The name of the host's end; undefined for the namespace's own. */
  readonly hostName?: string | undefined;
  readonly outside: EndDescription;
  readonly port?: Located<BridgePort> | undefined;
  /** Whose packets leave with the host's address. */
  readonly masquerade?: Located<readonly ("ipv4" | "ipv6")[]> | undefined;
  readonly publish: readonly Located<PublishedPort>[];
  /** Links of the host to which packets go on; undefined for those of the default routes. */
  readonly uplinks?: readonly Located<string>[] | undefined;
  /** The line that says that addresses come from the pool. */
  readonly auto?: string | undefined;
}

export interface StackedDescription extends LinkBase {
  readonly type: "macvlan" | "ipvlan" | "vlan" | "move";
  /** The host's link below it, or the one that is moved. */
  readonly parent: Located<string>;
  /** Of macvlan and ipvlan. */
  readonly mode?: string | undefined;
  /** Of a VLAN. */
  readonly id?: number | undefined;
}

export type LinkDescription = VethDescription | StackedDescription;

export type Policy = "open" | "closed";

/** Packets that a closed direction lets through. */
export interface AcceptRule {
  readonly match: "tcp" | "udp" | "icmp" | "any";
  /** `80` or `8000-8100`; undefined for all. */
  readonly ports?: string | undefined;
  /** Where they come from, or where they go. */
  readonly peer?: IpPrefix | undefined;
}

export interface FirewallDescription {
  /** Whose hooks see the packets: the host's, or those of the namespace itself. */
  readonly place: "outside" | "inside";
  readonly incoming: Policy;
  readonly outgoing: Policy;
  readonly acceptIncoming: readonly AcceptRule[];
  readonly acceptOutgoing: readonly AcceptRule[];
  readonly origin: string;
}

export interface DnsDescription {
  /** "auto": a resolver at the host's end of the pair. */
  readonly servers: "auto" | readonly string[];
  /** Lines of resolv.conf(5) besides the servers. */
  readonly lines: readonly string[];
  readonly origin: string;
}

export interface Description {
  readonly links: readonly LinkDescription[];
  readonly sysctl: readonly Located<{ readonly key: string; readonly value: string }>[];
  readonly dns?: DnsDescription | undefined;
  readonly firewall?: FirewallDescription | undefined;
}

/** The one link of a namespace that no file describes. */
export const plainVeth: VethDescription = {
  type: "veth",
  name: "net0",
  inside: noEnd,
  outside: noEnd,
  publish: [],
  origin: "",
};

/** Returns the name of a pair's end on the host: that of the namespace unless it has its own. */
export const hostNameOf = (link: VethDescription, namespace: string): string =>
  link.hostName ?? namespace;
