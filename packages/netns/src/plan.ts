import { type Description, hostNameOf, plainVeth } from "./description.ts";
import { makeResolvConf } from "./dns.ts";
import { planEnd, planForwarding, planLink, planSetUp } from "./plan-links.ts";
import { insideRules, outsideRules } from "./rules.ts";
import { type Place, type Step, type Undo, undoOf } from "./step.ts";

export interface UpRequest {
  readonly name: string;
  readonly hostUp: boolean;
  /** The description, with the addresses from the pool filled in. */
  readonly description?: Description | undefined;
  /** Links of the host to which packets of the namespace go, and from which answers come. */
  readonly uplinks: readonly string[];
  /** The path of the script; undefined if there is none. */
  readonly script?: string | undefined;
  /** 0 for no limit. */
  readonly scriptTimeoutMs: number;
}

const nothing: Description = { links: [plainVeth], sysctl: [] };

/** Returns all steps of `up`, in the order in which they are carried out. Pure. */
export function planUp(request: UpRequest): Step[] {
  const { name, script, hostUp } = request;
  const description = request.description ?? nothing;
  const { links, sysctl, firewall, dns } = description;
  const steps: Step[] = [{ kind: "make-namespace" }];
  for (const link of links) steps.push(...planLink(link, name));
  // Settings and rules come before the links are brought up: some settings matter at that moment,
  // and a direction that the firewall closes must never be open.
  for (const { value, origin } of sysctl) steps.push({ kind: "write-sysctl", ...value, origin });
  steps.push(...planForwarding(links, name, request.uplinks));
  const outside = outsideRules(description, name);
  if (outside !== undefined)
    steps.push({ kind: "load-table", rules: outside, origin: outside.origin });
  const inside = insideRules(description);
  if (inside !== undefined)
    steps.push({ kind: "load-table", rules: inside, origin: firewall?.origin });

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
 * The order of undos: processes come first; links come before the rules, so that no packets pass
 * after the rules are gone; the namespace comes last. Undos of the same kind are in reverse order.
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

/** Returns the undos of `steps`, each once, in the order in which they are carried out. */
export function planUndo(steps: readonly Step[]): Undo[] {
  const undos = steps.map(undoOf).filter((undo) => undo !== undefined);
  const once = new Map(undos.map((undo) => [JSON.stringify(undo), undo]));
  return [...once.values()].reverse().sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
}

/** Returns the undos for `down`, which does not end processes. */
export function planDown(undos: readonly Undo[]): Undo[] {
  return undos.filter(({ kind }) => kind !== "end-processes");
}

/** The undos for a namespace that has no list of them: another program or version 0.1 made it. */
export const undoPlainVeth: readonly Undo[] = [
  { kind: "end-processes" },
  { kind: "delete-link", link: plainVeth.name },
  { kind: "remove-resolv-conf" },
  { kind: "delete-namespace" },
];
