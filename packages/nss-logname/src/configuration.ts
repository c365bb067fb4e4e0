/** Reads, changes and writes the /etc/nsswitch.conf of a tree. */
import type { Stats } from "node:fs";
import { CommandFailure, EX_CONFIG } from "@cm4all/command";
import { MAX_TEXT_FILE } from "@cm4all/command/regular-file";
import type { Place, Tree } from "@cm4all/command/tree";
import { checked, explained } from "./failure.ts";

const path = "/etc/nsswitch.conf";

/** The file that openSUSE's glibc reads if there is no /etc/nsswitch.conf. */
const vendorPath = "/usr/etc/nsswitch.conf";

/** The nsswitch.conf of a tree. */
export interface Configuration {
  /** The path on this system, without symbolic links. */
  readonly path: string;
  /** The text, with a character for each byte; undefined if there is no file. */
  readonly text: string | undefined;
}

/** Reads /etc/nsswitch.conf of a tree. @throws CommandFailure */
export function readConfiguration(tree: Tree): Configuration {
  return explained(`cannot read ${tree.show(path)}`, () => {
    using place = tree.locate(path);
    return {
      path: tree.show(place.path),
      text: place.read(MAX_TEXT_FILE)?.content.toString("latin1"),
    };
  });
}

/** @throws CommandFailure if a new file would hide the distribution's file with all its lines */
function refuseToHide(tree: Tree): void {
  if (tree.has(vendorPath))
    throw new CommandFailure(
      `${tree.show(path)} does not exist, but ${tree.show(vendorPath)} does; copy it there first`,
      EX_CONFIG,
    );
}

/** A planned change, to be written when everything else is done. */
export class ConfigurationChange implements Disposable {
  readonly #place: Place;
  readonly #text: string;
  readonly #stats: Stats | undefined;
  /** The path on this system, without symbolic links. */
  readonly path: string;
  /** True if there is anything to write. */
  readonly isNeeded: boolean;

  /**
   * Plans a change.
   * @param edit returns the new text for the old one
   * @throws CommandFailure, also if `edit` throws NsswitchError
   */
  constructor(tree: Tree, edit: (text: string) => string) {
    this.#place = explained(`cannot read ${tree.show(path)}`, () => tree.locate(path));
    this.path = tree.show(this.#place.path);
    try {
      const file = explained(`cannot read ${this.path}`, () => this.#place.read(MAX_TEXT_FILE));
      if (file === undefined) refuseToHide(tree);
      const before = file?.content.toString("latin1") ?? "";
      this.#text = checked(this.path, () => edit(before));
      this.#stats = file?.stats;
      this.isNeeded = this.#text !== before;
    } catch (error) {
      this.#place[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#place[Symbol.dispose]();
  }

  /**
   * Writes the file, completely or not at all.
   * @throws CommandFailure, also if only the directory could not be synced after the write
   */
  write(): void {
    explained(`cannot write ${this.path}`, () => {
      const mode = (this.#stats?.mode ?? 0o644) & 0o7777;
      this.#place.replace(Buffer.from(this.#text, "latin1"), mode, this.#stats);
    });
  }
}
