/**
 * What `up` does, as data: steps, each with its undo. Pure; execute.ts carries a plan
 * out, kernel.ts knows how each step and each undo is done.
 */
import { formatIpAddress, formatMac, type IpPrefix, type Route, type NewLink } from "@cm4all/linux";
import { etcResolvConf, INSIDE_LINK, namespacePath } from "./paths.ts";

/** Inside the namespace, or outside of it, on the host. */
export type Side = "inside" | "outside";

export type Action =
  | { readonly kind: "make-namespace" }
  | { readonly kind: "make-pair"; readonly outside: NewLink; readonly inside: NewLink }
  | { readonly kind: "write-sysctl"; readonly key: string; readonly value: string }
  | { readonly kind: "set-up"; readonly side: Side; readonly link: string }
  | { readonly kind: "add-address"; readonly side: Side; readonly prefix: IpPrefix }
  | { readonly kind: "add-route"; readonly side: Side; readonly route: Route }
  | { readonly kind: "write-resolv-conf"; readonly text: string }
  | { readonly kind: "run-script"; readonly path: string; readonly timeoutMs: number };

export type Undo = "delete-namespace" | "delete-link" | "remove-resolv-conf" | "end-processes";

export type Step = Action & {
  /** `FILE:LINE` of the description that asks for it. */
  readonly origin?: string | undefined;
};

/**
 * How each kind of step is undone; undefined where its effect ends with what an earlier
 * step made: addresses, routes and flags with their link, sysctl values with the
 * namespace.
 */
const undoOf: Record<Action["kind"], Undo | undefined> = {
  "make-namespace": "delete-namespace",
  "make-pair": "delete-link",
  "write-sysctl": undefined,
  "set-up": undefined,
  "add-address": undefined,
  "add-route": undefined,
  "write-resolv-conf": "remove-resolv-conf",
  "run-script": "end-processes",
};

/** A value of the description, with the line that says it. */
export interface Located<T> {
  readonly value: T;
  /** `FILE:LINE` */
  readonly origin: string;
}

/** One end of the pair as the description has it. */
export interface EndDescription {
  readonly mtuBytes?: number | undefined;
  readonly mac?: Buffer | undefined;
  /** Whether to set the link up, where the description says so. */
  readonly up?: boolean | undefined;
  readonly addresses: readonly Located<IpPrefix>[];
  /** In an order in which each gateway can be reached when it is needed. */
  readonly routes: readonly Located<Route>[];
}

/** A namespace as NAME.toml describes it. */
export interface Description {
  readonly inside: EndDescription;
  readonly outside: EndDescription;
  readonly sysctl: readonly Located<{ readonly key: string; readonly value: string }>[];
  readonly resolvConf?: Located<string> | undefined;
}

export interface UpRequest {
  readonly name: string;
  readonly hostUp: boolean;
  readonly description?: Description | undefined;
  /** Undefined where there is none. */
  readonly script?: string | undefined;
  /** 0 for as long as it takes. */
  readonly scriptTimeoutMs: number;
}

const nothing: EndDescription = { addresses: [], routes: [] };

export function planUp(request: UpRequest): Step[] {
  const { name, description, script } = request;
  const outside = description?.outside ?? nothing;
  const inside = description?.inside ?? nothing;
  const steps: Step[] = [
    { kind: "make-namespace" },
    {
      kind: "make-pair",
      outside: { name, mtuBytes: outside.mtuBytes, mac: outside.mac },
      inside: { name: INSIDE_LINK, mtuBytes: inside.mtuBytes, mac: inside.mac },
    },
  ];
  // Before the links are up: some of the values matter at that moment.
  for (const { value, origin } of description?.sysctl ?? [])
    steps.push({ kind: "write-sysctl", ...value, origin });
  steps.push({ kind: "set-up", side: "inside", link: "lo" });
  if (inside.up ?? true) steps.push({ kind: "set-up", side: "inside", link: INSIDE_LINK });
  if (request.hostUp && (outside.up ?? true))
    steps.push({ kind: "set-up", side: "outside", link: name });
  for (const [side, end] of [
    ["outside", outside],
    ["inside", inside],
  ] as const) {
    for (const { value, origin } of end.addresses)
      steps.push({ kind: "add-address", side, prefix: value, origin });
    for (const { value, origin } of end.routes)
      steps.push({ kind: "add-route", side, route: value, origin });
  }
  const resolvConf = description?.resolvConf;
  if (resolvConf !== undefined)
    steps.push({
      kind: "write-resolv-conf",
      text: resolvConf.value,
      origin: resolvConf.origin,
    });
  if (script !== undefined)
    steps.push({ kind: "run-script", path: script, timeoutMs: request.scriptTimeoutMs });
  return steps;
}

/** What undoes `steps`, the last first. */
export function planUndo(steps: readonly Step[]): Undo[] {
  return steps
    .map((step) => undoOf[step.kind])
    .filter((undo) => undo !== undefined)
    .reverse();
}

/** What undoes any plan, however far it got. */
export const planEverythingUndone: readonly Undo[] = [
  "end-processes",
  "remove-resolv-conf",
  "delete-link",
  "delete-namespace",
];

/** What removes a namespace, whatever is left of it. Processes in it go on. */
export const planDown: readonly Undo[] = ["delete-link", "remove-resolv-conf", "delete-namespace"];

function describeEnd({ name, mtuBytes, mac }: NewLink): string {
  const mtu = mtuBytes === undefined ? "" : ` mtu ${mtuBytes}`;
  return `${name}${mtu}${mac === undefined ? "" : ` address ${formatMac(mac)}`}`;
}

/** One line for people. */
export function describeStep(step: Step, name: string): string {
  const place = (side: Side) => (side === "inside" ? INSIDE_LINK : name);
  switch (step.kind) {
    case "make-namespace":
      return `make the network namespace ${namespacePath(name)}`;
    case "make-pair":
      return `make the veth pair ${describeEnd(step.outside)} - ${describeEnd(step.inside)} (inside)`;
    case "write-sysctl":
      return `inside, set ${step.key} = ${step.value}`;
    case "set-up":
      return `${step.side}, set ${step.link} up`;
    case "add-address": {
      const { address, prefixLength } = step.prefix;
      return `${step.side}, give ${place(step.side)} the address ${formatIpAddress(address)}/${prefixLength}`;
    }
    case "add-route": {
      const { destination, gateway, metric } = step.route;
      const to =
        destination.prefixLength === 0
          ? "the default route"
          : `a route to ${formatIpAddress(destination.address)}/${destination.prefixLength}`;
      const via = gateway === undefined ? "" : ` via ${formatIpAddress(gateway)}`;
      const cost = metric === undefined ? "" : ` metric ${metric}`;
      return `${step.side}, add ${to}${via} dev ${place(step.side)}${cost}`;
    }
    case "write-resolv-conf":
      return `make ${etcResolvConf(name)} of ${JSON.stringify(step.text)}`;
    case "run-script": {
      const limit = step.timeoutMs === 0 ? "" : `, ${step.timeoutMs / 1000} s at most`;
      return `inside, run ${step.path} ${INSIDE_LINK}${limit}`;
    }
  }
}
