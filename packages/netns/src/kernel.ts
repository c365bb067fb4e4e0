/** Does the steps of a plan, and undoes them. */
import { writeFileSync } from "node:fs";
import {
  AF_INET6,
  IFA_F_NODAD,
  newAddress,
  newRoute,
  newVethPair,
  type RtnetlinkSocket,
  setLinkUp,
  withNamespace,
} from "@cm4all/linux";
import type { Executor } from "./execute.ts";
import { asFailure } from "./failures.ts";
import { type Holdings, tryGetLink, undoOne } from "./holdings.ts";
import type { Interruption } from "./interruption.ts";
import { attachNamespace, NetworkNamespace } from "./namespace.ts";
import { INSIDE_LINK } from "./paths.ts";
import type { Side, Step, Undo } from "./plan.ts";
import { type NamespaceRecord, type RecordFile, readBootId } from "./record.ts";
import { writeResolvConf } from "./resolv-conf.ts";
import { runScript, startScript } from "./script.ts";
import { withView } from "./view.ts";

/** Makes one namespace. The owner disposes it; what was made stays then. */
export class Kernel implements Executor {
  readonly #holdings: Holdings;
  readonly #record: RecordFile;
  readonly #interruption: Interruption;
  readonly #bootId = readBootId();

  /** @param host a socket in the host's network namespace */
  constructor(name: string, host: RtnetlinkSocket, record: RecordFile, interruption: Interruption) {
    this.#holdings = { name, host, attached: false };
    this.#record = record;
    this.#interruption = interruption;
  }

  /** @throws CommandFailure that names the line of the description */
  async run(step: Step): Promise<void> {
    try {
      await this.#do(step);
    } catch (error) {
      throw asFailure(error, step.origin === undefined ? "" : `${step.origin}: `);
    }
  }

  undo(undo: Undo): void {
    undoOne(this.#holdings, undo);
  }

  /** Records that all is made. */
  complete(): void {
    this.#writeRecord("complete");
  }

  #do(step: Step): void | Promise<void> {
    const { name, host } = this.#holdings;
    switch (step.kind) {
      case "make-namespace":
        return this.#makeNamespace();
      case "make-pair":
        host.request(newVethPair(step.outside, step.inside, this.#namespace.fd.number));
        this.#holdings.linkIndex = this.#indexOf("outside", step.outside.name);
        // Should the name of the namespace be gone when we are, the link is still known.
        this.#writeRecord("unfinished");
        return;
      case "write-sysctl": {
        const path = `/proc/sys/${step.key.replaceAll(".", "/")}`;
        const { number } = this.#namespace.fd;
        withNamespace(number, "net", () => writeFileSync(path, step.value, { flag: "r+" }));
        return;
      }
      case "set-up":
        this.#socket(step.side).request(setLinkUp(this.#indexOf(step.side, step.link)));
        return;
      case "add-address": {
        // Both ends are ours: nobody has the address already, and it can be used at once.
        const flags = step.prefix.address.family === AF_INET6 ? IFA_F_NODAD : 0;
        const index = this.#indexOf(step.side, step.side === "inside" ? INSIDE_LINK : name);
        this.#socket(step.side).request(newAddress(index, step.prefix, flags));
        return;
      }
      case "add-route": {
        const index = this.#indexOf(step.side, step.side === "inside" ? INSIDE_LINK : name);
        this.#socket(step.side).request(newRoute(index, step.route));
        return;
      }
      case "write-resolv-conf":
        writeResolvConf(name, step.text);
        return;
      case "run-script":
        return this.#runScript(step.path, step.timeoutMs);
    }
  }

  /** The record is there before the name is: so it is known whose the namespace is. */
  #makeNamespace(): void {
    const namespace = NetworkNamespace.create();
    this.#holdings.namespace = namespace;
    this.#writeRecord("unfinished");
    attachNamespace(namespace, this.#holdings.name);
    this.#holdings.attached = true;
  }

  #runScript(path: string, timeoutMs: number): Promise<void> {
    const { name } = this.#holdings;
    const environment = Object.entries({ ...process.env, CM4ALL_NETNS: name }).map(
      ([key, value]) => `${key}=${value}`,
    );
    const start = () =>
      withView(this.#namespace, name, () => {
        process.chdir("/");
        return startScript({ path, argv: [path, INSIDE_LINK], environment });
      });
    return runScript(path, start, { timeoutMs, interruption: this.#interruption });
  }

  get #namespace(): NetworkNamespace {
    const { namespace } = this.#holdings;
    if (namespace === undefined) throw new Error("the plan does not start with the namespace");
    return namespace;
  }

  #socket(side: Side): RtnetlinkSocket {
    return side === "inside" ? this.#namespace.socket : this.#holdings.host;
  }

  #indexOf(side: Side, link: string): number {
    const { linkIndex } = this.#holdings;
    if (side === "outside" && linkIndex !== undefined) return linkIndex;
    const found = tryGetLink(this.#socket(side), link);
    if (found === undefined) throw new Error(`the link ${link} is gone`);
    return found.index;
  }

  #writeRecord(state: NamespaceRecord["state"]): void {
    const { namespace, linkIndex } = this.#holdings;
    this.#record.write({
      state,
      pid: process.pid,
      bootId: this.#bootId,
      cookie: namespace?.cookie ?? "",
      linkIndex,
    });
  }

  [Symbol.dispose](): void {
    this.#holdings.namespace?.[Symbol.dispose]();
  }
}
