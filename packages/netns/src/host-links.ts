/**
 * The host's links that a plan works on. A link that the plan has made is found by its index,
 * because it may have been renamed since.
 */
import { CommandFailure, EX_CANTCREAT } from "@cm4all/command";
import type { Link, RtnetlinkSocket } from "@cm4all/linux";
import { tryGetLink, tryGetLinkByIndex } from "./holdings.ts";

export class HostLinks {
  readonly #socket: RtnetlinkSocket;
  /** The indexes of links that the plan has made, by the names that it has given them. */
  readonly #made = new Map<string, number>();

  /** @param socket of the host's network namespace; owned by the caller */
  constructor(socket: RtnetlinkSocket) {
    this.#socket = socket;
  }

  /** Notes the index of a link that the plan has made. */
  add(name: string, index: number): void {
    this.#made.set(name, index);
  }

  /**
   * Returns true if the plan has made the link. Its settings then need no undo, because they
   * vanish with the link.
   */
  isMade(name: string): boolean {
    return this.#made.has(name);
  }

  /** Returns the link, with its present name. @throws CommandFailure if it does not exist */
  get(name: string): Link {
    const index = this.#made.get(name);
    const found =
      index === undefined ? tryGetLink(this.#socket, name) : tryGetLinkByIndex(this.#socket, index);
    if (found !== undefined) return found;
    throw new CommandFailure(`there is no link ${name} on the host`, EX_CANTCREAT);
  }

  /**
   * Returns the index of a link. A link that the plan has made is not looked up, so it may have
   * vanished.
   * @throws CommandFailure if any other link does not exist
   */
  indexOf(name: string): number {
    return this.#made.get(name) ?? this.get(name).index;
  }
}
