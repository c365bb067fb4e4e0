/**
 * Carries out a plan in two network namespaces that nobody else sees; one of them stands for the
 * host. A step that the kernel refuses there would fail in `up` as well. Files, scripts, nftables
 * tables, settings of the host and of a bridge's ports, and the wait for addresses are left out.
 */
import { CommandFailure } from "@cm4all/command";
import { newBridge, newVethPair, setLinkUp } from "@cm4all/linux";
import { asFailure } from "./failures.ts";
import { tryGetLink } from "./holdings.ts";
import { Interruption } from "./interruption.ts";
import { Kernel } from "./kernel.ts";
import { NetworkNamespace } from "./namespace.ts";
import type { UpRequest } from "./plan.ts";
import type { Step } from "./step.ts";

/** The steps that are left out. */
const leftOut: ReadonlySet<Step["kind"]> = new Set([
  "set-port",
  "forward",
  "load-table",
  "await-addresses",
  "write-resolv-conf",
  "run-script",
]);

const makesLink: ReadonlySet<Step["kind"]> = new Set([
  "make-namespace",
  "make-pair",
  "make-stacked",
  "move-link",
  "make-vlan",
]);

/** Returns the failures. Goes on after a failed step, unless that step makes a link. */
export async function rehearse(
  { name }: UpRequest,
  steps: readonly Step[],
): Promise<CommandFailure[]> {
  using outside = NetworkNamespace.create();
  using interruption = new Interruption();
  const problems: CommandFailure[] = [];
  using kernel = new Kernel({
    name,
    host: outside.socket,
    record: { write: () => {} },
    base: { bootId: "", undo: [], pool: [], publish: [] },
    interruption,
    rehearsal: true,
  });
  prepareHost(outside, steps);
  for (const step of steps) {
    if (leftOut.has(step.kind)) continue;
    try {
      await kernel.run(step);
    } catch (error) {
      const failure = asFailure(error);
      if (!(failure instanceof CommandFailure)) throw failure;
      problems.push(failure);
      // Without the link, the later steps that need it would fail, too.
      if (makesLink.has(step.kind)) break;
    }
  }
  return problems;
}

/** Makes links that stand for the host's links in the plan. */
function prepareHost({ socket, fd }: NetworkNamespace, steps: readonly Step[]): void {
  const make = (link: string, bridge: boolean) => {
    if (tryGetLink(socket, link) !== undefined) return;
    if (bridge) return socket.request(newBridge(link, false));
    socket.request(newVethPair({ name: link }, { name: `${link.slice(0, 9)}-other` }, fd.number));
    const index = tryGetLink(socket, link)?.index;
    if (index !== undefined) socket.request(setLinkUp(index));
  };
  for (const step of steps) {
    if (step.kind === "make-pair" && step.bridge !== undefined) make(step.bridge, true);
    if (step.kind === "make-stacked" || step.kind === "move-link") make(step.parent, false);
  }
}
