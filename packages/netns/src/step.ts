/** The steps of a plan, and the undo of each. Pure. */
import type { IpPrefix, NewLink, Route, StackedKind } from "@cm4all/linux";
import type { BridgePort } from "./description.ts";
import type { RuleSet } from "./rules.ts";

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
      /** The link on the host. */
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
  | { readonly kind: "load-table"; readonly rules: RuleSet }
  | { readonly kind: "set-up"; readonly place: Place }
  | {
      readonly kind: "add-address";
      readonly place: Place;
      readonly prefix: IpPrefix;
      /** True if another machine on the link's network could have the same address. */
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
  /** The link is found inside the namespace, and deleted with its other end, if it has one. */
  | { readonly kind: "delete-link"; readonly link: string }
  | { readonly kind: "return-link"; readonly link: string; readonly parent: string }
  | { readonly kind: "delete-table" }
  | { readonly kind: "restore-forwarding" }
  | { readonly kind: "remove-resolv-conf" }
  | { readonly kind: "delete-namespace" };

export type Step = Action & {
  /** `FILE:LINE` of the description that asks for the step. */
  readonly origin?: string | undefined;
};

/**
 * Returns the undo of a step; undefined if the effect of the step disappears with the result of an
 * earlier one: addresses, routes and flags with their link, sysctl values and the tables inside
 * with the namespace.
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
      return step.rules.side === "outside" ? { kind: "delete-table" } : undefined;
    case "write-resolv-conf":
      return { kind: "remove-resolv-conf" };
    case "run-script":
      return { kind: "end-processes" };
    default:
      return undefined;
  }
}
