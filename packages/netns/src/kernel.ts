/** Executes the steps of a plan, and undoes them. */
import { fstatSync } from "node:fs";
import {
  changeLink,
  isErrno,
  moveLink,
  newAddress,
  newRoute,
  newStackedLink,
  newVethPair,
  type RtnetlinkSocket,
  setLinkUp,
} from "@cm4all/linux";
import { addressFlags, awaitAddresses } from "./addresses.ts";
import type { Executor } from "./execute.ts";
import { asFailure } from "./failures.ts";
import { allowForwarding } from "./forwarding.ts";
import { type Holdings, tryGetLink } from "./holdings.ts";
import { HostLinks } from "./host-links.ts";
import type { Interruption } from "./interruption.ts";
import { attachNamespace, NetworkNamespace } from "./namespace.ts";
import { loadRules } from "./nft.ts";
import { formatRules } from "./nft-text.ts";
import type { NamespaceRecord, RecordedLink } from "./record-text.ts";
import { writeResolvConf } from "./resolv-conf.ts";
import { runScript, startScript } from "./script.ts";
import { setPort, writeSysctl } from "./settings.ts";
import type { Place, Side, Step, Undo } from "./step.ts";
import { undoOne } from "./undo.ts";
import { withView } from "./view.ts";

/** The number of attempts to find a link by its name, which udev may change once or twice. */
const RENAME_TRIES = 10;

type StepOf<K extends Step["kind"]> = Extract<Step, { kind: K }>;

/** Writes the record before the namespace gets its name, and again for each new part. */
export interface Recorder {
  /** The descriptor that holds the lock of the name; the next `write` replaces it. */
  readonly lock?: number;
  write(record: NamespaceRecord): void;
}

/** The parts of the record that are known before anything is made. */
export type RecordBase = Pick<NamespaceRecord, "bootId" | "undo" | "pool" | "publish">;

export interface KernelOptions {
  readonly name: string;
  /** A socket of the host's network namespace. */
  readonly host: RtnetlinkSocket;
  readonly record: Recorder;
  readonly base: RecordBase;
  readonly interruption: Interruption;
  /** True if the namespace is to stay without a name. */
  readonly rehearsal?: boolean;
}

/** Makes a namespace. The owner disposes of this object; the namespace stays. */
export class Kernel implements Executor {
  readonly #holdings: Holdings;
  readonly #record: Recorder;
  readonly #base: RecordBase;
  readonly #interruption: Interruption;
  readonly #rehearsal: boolean;
  readonly #hostLinks: HostLinks;

  constructor({ name, host, record, base, interruption, rehearsal = false }: KernelOptions) {
    this.#holdings = {
      name,
      host,
      attached: false,
      ours: true,
      links: new Map(),
      settings: [],
      lock: () => record.lock,
      save: () => this.#writeRecord("unfinished"),
    };
    this.#hostLinks = new HostLinks(host);
    this.#record = record;
    this.#base = base;
    this.#interruption = interruption;
    this.#rehearsal = rehearsal;
  }

  /** Executes a step. @throws CommandFailure with the line of the description */
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

  /** Records that everything is made. */
  complete(): void {
    this.#writeRecord("complete");
  }

  #do(step: Step): void | Promise<void> {
    const { name, host } = this.#holdings;
    switch (step.kind) {
      case "make-namespace":
        return this.#makeNamespace();
      case "make-pair":
        return this.#makePair(step);
      case "make-stacked": {
        const parent = this.#hostLinks.get(step.parent).index;
        const { number } = this.#namespace.fd;
        host.request(newStackedLink(parent, step.link, step.stacked, number));
        this.#recordLink({ name: step.link.name, insideIndex: this.#insideIndex(step.link.name) });
        return;
      }
      case "move-link":
        return this.#moveLink(step);
      case "set-port":
        setPort(
          host,
          this.#hostLinks.get(step.link),
          this.#hostLinks.get(step.port.bridge),
          step.port,
        );
        return;
      case "make-vlan": {
        const parent = this.#indexOf(step.place);
        const link = { name: step.name, mtuBytes: step.mtuBytes };
        const socket = this.#socket(step.place.side);
        socket.request(newStackedLink(parent, link, { kind: "vlan", id: step.id }));
        return;
      }
      case "write-sysctl":
        writeSysctl(this.#namespace, step.key, step.value);
        return;
      case "forward":
        return this.#forward(step);
      case "load-table":
        return this.#loadTable(step);
      case "set-up":
        this.#socket(step.place.side).request(setLinkUp(this.#indexOf(step.place)));
        return;
      case "add-address": {
        const flags = addressFlags(step.prefix, step.shared);
        const index = this.#indexOf(step.place);
        this.#socket(step.place.side).request(newAddress(index, step.prefix, flags));
        return;
      }
      case "await-addresses":
        return awaitAddresses(this.#namespace.socket, this.#insideIndex(step.link), () =>
          this.#interruption.check(),
        );
      case "add-route":
        this.#socket(step.place.side).request(newRoute(this.#indexOf(step.place), step.route));
        return;
      case "write-resolv-conf":
        writeResolvConf(name, step.text);
        return;
      case "run-script":
        return this.#runScript(step);
    }
  }

  /**
   * Creates the namespace. The record is written before the name exists, so that the owner of
   * the namespace is always known.
   */
  #makeNamespace(): void {
    const namespace = NetworkNamespace.create();
    this.#holdings.namespace = namespace;
    this.#writeRecord("unfinished");
    if (this.#rehearsal) return;
    attachNamespace(namespace, this.#holdings.name);
    this.#holdings.attached = true;
  }

  #makePair({ outside, inside, bridge }: StepOf<"make-pair">): void {
    const masterIndex = bridge === undefined ? undefined : this.#hostLinks.get(bridge).index;
    const { number } = this.#namespace.fd;
    this.#holdings.host.request(newVethPair({ ...outside, masterIndex }, inside, number));
    const link = tryGetLink(this.#namespace.socket, inside.name);
    // The host's end is found by its index, because another link may have its name by now.
    const outsideIndex = link?.peerIndex;
    if (link === undefined || outsideIndex === undefined)
      throw new Error(`the link ${inside.name} is gone`);
    this.#hostLinks.add(outside.name, outsideIndex);
    // If we are killed, and the name of the namespace is lost, the link is still known.
    this.#recordLink({ name: inside.name, insideIndex: link.index, outsideIndex });
  }

  #moveLink({ parent, link }: StepOf<"move-link">): void {
    const { host } = this.#holdings;
    const { index, name, flags, mtuBytes, mac, txQueueLength } = this.#hostLinks.get(parent);
    const original = { name, up: (flags & 1) !== 0, mtuBytes, mac, txQueueLength };
    this.#recordLink({ name: link.name, original });
    host.request(moveLink(index, link.name, this.#namespace.fd.number));
    const insideIndex = this.#insideIndex(link.name);
    this.#recordLink({ name: link.name, insideIndex, original });
    const { name: _, ...change } = link;
    if (Object.values(change).some((value) => value !== undefined))
      this.#namespace.socket.request(changeLink(insideIndex, change));
  }

  #forward({ link, families }: StepOf<"forward">): void {
    const { name, host } = this.#holdings;
    if (this.#hostLinks.isMade(link)) {
      this.#forwardOwn(link, families);
      return;
    }
    allowForwarding(name, host, this.#hostLinks.get(link), families, (settings) => {
      const known = new Set(this.#holdings.settings.map(({ path }) => path));
      const added = settings.filter(({ path }) => !known.has(path));
      this.#holdings.settings = [...this.#holdings.settings, ...added];
      this.#writeRecord("unfinished");
      for (const { path } of added)
        console.error(`${path.replaceAll("/", ".")} = 1, until no namespace needs it`);
    });
  }

  /**
   * Makes the host forward packets of a link of ours. The setting needs no undo, because it
   * vanishes with the link. Tries again if the link is renamed meanwhile.
   */
  #forwardOwn(made: string, families: StepOf<"forward">["families"]): void {
    for (let tries = 1; ; tries++)
      try {
        const { name, host } = this.#holdings;
        allowForwarding(name, host, this.#hostLinks.get(made), families, () => {});
        return;
      } catch (error) {
        if (!isErrno(error, "ENOENT") || tries === RENAME_TRIES) throw error;
      }
  }

  #loadTable({ rules }: StepOf<"load-table">): void {
    const text = formatRules(rules, (link) => this.#indexOf({ side: "outside", link }));
    loadRules(text, this.#record.lock, rules.side === "inside" ? this.#namespace : undefined);
  }

  #runScript({ path, links, timeoutMs }: StepOf<"run-script">): Promise<void> {
    const { name } = this.#holdings;
    // The script gets our environment, byte for byte, and this variable.
    process.env["CM4ALL_NETNS"] = name;
    const start = () =>
      withView(this.#namespace, name, () => {
        process.chdir("/");
        return startScript({ path, argv: [path, ...links] });
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

  #indexOf({ side, link }: Place): number {
    if (side === "inside") return this.#insideIndex(link);
    return this.#hostLinks.indexOf(link);
  }

  #insideIndex(link: string): number {
    const known = this.#holdings.links.get(link)?.insideIndex;
    if (known !== undefined) return known;
    const found = tryGetLink(this.#namespace.socket, link);
    if (found === undefined) throw new Error(`the link ${link} is gone`);
    return found.index;
  }

  #recordLink(link: RecordedLink): void {
    this.#holdings.links.set(link.name, link);
    this.#writeRecord("unfinished");
  }

  #writeRecord(state: NamespaceRecord["state"]): void {
    const { namespace, links, settings } = this.#holdings;
    this.#record.write({
      ...this.#base,
      state,
      pid: process.pid,
      cookie: namespace?.cookie ?? "",
      inode: namespace === undefined ? undefined : fstatSync(namespace.fd.number).ino,
      links: [...links.values()],
      settings,
    });
  }

  [Symbol.dispose](): void {
    this.#holdings.namespace?.[Symbol.dispose]();
  }
}
