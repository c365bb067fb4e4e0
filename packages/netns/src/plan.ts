/**
 * What `up` does, as data: steps, each with its undo. Pure; execute.ts carries a plan
 * out, kernel.ts knows how each step is done and undo.ts how each undo is.
 */
import type { IpPrefix, NewLink, Route, StackedKind } from "@cm4all/linux";
import { type BridgePort, type Description, hostNameOf, plainVeth } from "./description.ts";
import { makeResolvConf } from "./dns.ts";
import { planEnd, planForwarding, planLink, planSetUp } from "./plan-links.ts";
import { insideRules, outsideRules, type RuleSet } from "./rules.ts";

/** Inside the namespace, or outside of it, on the host. */
export type Side = "inside" | "outside";

/** A link that a step works on. */
export interface Place {
  readonly side: Side;
  readonly link: string;
}

export type Action =
  | { readonly kind: "make-namespace" }
  | {
      readonly kind: "make-pair";
      readonly outside: NewLink;
      readonly inside: NewLink;
      /** A bridge of the host. */
      readonly bridge?: string | undefined;
    }
  | {
      readonly kind: "make-stacked";
      /** On the host. */
      readonly parent: string;
      readonly link: NewLink;
      readonly stacked: StackedKind;
    }
  | { readonly kind: "move-link"; readonly parent: string; readonly link: NewLink }
  | { readonly kind: "set-port"; readonly link: string; readonly port: BridgePort }
  | {
      readonly kind: "make-vlan";
      readonly place: Place;
      readonly name: string;
      readonly id: number;
      readonly mtuBytes?: number | undefined;
    }
  | { readonly kind: "write-sysctl"; readonly key: string; readonly value: string }
  | {
      readonly kind: "forward";
      readonly link: string;
      readonly families: readonly ("ipv4" | "ipv6")[];
    }
  | { readonly kind: "load-table"; readonly side: Side; readonly rules: RuleSet }
  | { readonly kind: "set-up"; readonly place: Place }
  | {
      readonly kind: "add-address";
      readonly place: Place;
      readonly prefix: IpPrefix;
      /** Whether others on the same wire may have the address. */
      readonly shared: boolean;
    }
  | { readonly kind: "await-addresses"; readonly link: string }
  | { readonly kind: "add-route"; readonly place: Place; readonly route: Route }
  | { readonly kind: "write-resolv-conf"; readonly text: string }
  | {
      readonly kind: "run-script";
      readonly path: string;
      readonly links: readonly string[];
      readonly timeoutMs: number;
    };

export type Undo =
  | { readonly kind: "end-processes" }
  /** Found inside the namespace; with its other end, if it has one. */
  | { readonly kind: "delete-link"; readonly link: string }
  | { readonly kind: "return-link"; readonly link: string; readonly parent: string }
  | { readonly kind: "delete-table" }
  | { readonly kind: "restore-forwarding" }
  | { readonly kind: "remove-resolv-conf" }
  | { readonly kind: "delete-namespace" };

export type Step = Action & {
  /** `FILE:LINE` of the description that asks for it. */
  readonly origin?: string | undefined;
};

/**
 * How a step is undone; undefined where its effect ends with what an earlier step made:
 * addresses, routes and flags with their link, sysctl values and the tables inside with
 * the namespace.
 */
export function undoOf(step: Step): Undo | undefined {
  switch (step.kind) {
    case "make-namespace":
      return { kind: "delete-namespace" };
    case "make-pair":
      return { kind: "delete-link", link: step.inside.name };
    case "make-stacked":
      return { kind: "delete-link", link: step.link.name };
    case "move-link":
      return { kind: "return-link", link: step.link.name, parent: step.parent };
    case "forward":
      return { kind: "restore-forwarding" };
    case "load-table":
      return step.side === "outside" ? { kind: "delete-table" } : undefined;
    case "write-resolv-conf":
      return { kind: "remove-resolv-conf" };
    case "run-script":
      return { kind: "end-processes" };
    default:
      return undefined;
  }
}

export interface UpRequest {
  readonly name: string;
  readonly hostUp: boolean;
  /** With the addresses that are taken out of the pool in their places. */
  readonly description?: Description | undefined;
  /** Links of the host whose packets go on to links of namespaces and back. */
  readonly uplinks: readonly string[];
  /** Undefined where there is none. */
  readonly script?: string | undefined;
  /** 0 for as long as it takes. */
  readonly scriptTimeoutMs: number;
}

const nothing: Description = { links: [plainVeth], sysctl: [] };

export function planUp(request: UpRequest): Step[] {
  const { name, script, hostUp } = request;
  const description = request.description ?? nothing;
  const { links, sysctl, firewall, dns } = description;
  const steps: Step[] = [{ kind: "make-namespace" }];
  for (const link of links) steps.push(...planLink(link, name));
  // Before the links are up: some of the values matter at that moment, and what is
  // closed must never have been open.
  for (const { value, origin } of sysctl) steps.push({ kind: "write-sysctl", ...value, origin });
  steps.push(...planForwarding(links, name, request.uplinks));
  const outside = outsideRules(description, name);
  if (outside !== undefined)
    steps.push({ kind: "load-table", side: "outside", rules: outside, origin: outside.origin });
  const inside = insideRules(description);
  if (inside !== undefined)
    steps.push({ kind: "load-table", side: "inside", rules: inside, origin: firewall?.origin });

  steps.push({ kind: "set-up", place: { side: "inside", link: "lo" } });
  for (const link of links) {
    steps.push(...planSetUp(link.inside, { side: "inside", link: link.name }, true));
    if (link.type !== "veth") continue;
    const place: Place = { side: "outside", link: hostNameOf(link, name) };
    steps.push(...planSetUp(link.outside, place, hostUp));
  }
  for (const link of links) {
    if (link.type === "veth")
      steps.push(
        ...planEnd(link.outside, { side: "outside", link: hostNameOf(link, name) }, false),
      );
    const shared = link.type !== "veth" || link.port !== undefined;
    steps.push(...planEnd(link.inside, { side: "inside", link: link.name }, shared));
  }
  if (dns !== undefined)
    steps.push({ kind: "write-resolv-conf", text: makeResolvConf(dns), origin: dns.origin });
  if (script !== undefined) {
    const names = links.map((link) => link.name);
    steps.push({
      kind: "run-script",
      path: script,
      links: names,
      timeoutMs: request.scriptTimeoutMs,
    });
  }
  return steps;
}

/**
 * The order of undoing: links go first, so that nothing gets through after what closes
 * them is gone, and the namespace last. Those of one kind go in the reverse order.
 */
const order: readonly Undo["kind"][] = [
  "end-processes",
  "return-link",
  "delete-link",
  "delete-table",
  "restore-forwarding",
  "remove-resolv-conf",
  "delete-namespace",
];

/** What undoes `steps`, each thing once. */
export function planUndo(steps: readonly Step[]): Undo[] {
  const undos = steps.map(undoOf).filter((undo) => undo !== undefined);
  const once = new Map(undos.map((undo) => [JSON.stringify(undo), undo]));
  return [...once.values()].reverse().sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** What `down` undoes of all that was made: processes go on. */
export function planDown(undos: readonly Undo[]): Undo[] {
  return undos.filter(({ kind }) => kind !== "end-processes");
}

/** What removes a namespace that somebody else has made, or the version before. */
export const undoPlainVeth: readonly Undo[] = [
  { kind: "end-processes" },
  { kind: "delete-link", link: plainVeth.name },
  { kind: "remove-resolv-conf" },
  { kind: "delete-namespace" },
];
