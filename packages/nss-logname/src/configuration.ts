/** /etc/nsswitch.conf of a tree: read, changed, written back. */
import type { Stats } from "node:fs";
import { CommandFailure, EX_CONFIG } from "@cm4all/command";
import { MAX_TEXT_FILE } from "@cm4all/command/regular-file";
import type { Place, Tree } from "@cm4all/command/tree";
import { checked, explained } from "./failure.ts";

const path = "/etc/nsswitch.conf";

/** What openSUSE's glibc reads as long as there is no `path`. */
const vendorPath = "/usr/etc/nsswitch.conf";

/** The text has one character for each byte; it is undefined where there is no file. */
export interface Configuration {
  /** The path that the user knows, without symbolic links. */
  readonly path: string;
  readonly text: string | undefined;
}

/** @throws CommandFailure */
export function readConfiguration(tree: Tree): Configuration {
  return explained(`cannot read ${tree.show(path)}`, () => {
    using place = tree.locate(path);
    return {
      path: tree.show(place.path),
      text: place.read(MAX_TEXT_FILE)?.content.toString("latin1"),
    };
  });
}

/** @throws CommandFailure where a new file would hide the distribution's with all its lines */
function refuseToHide(tree: Tree): void {
  if (tree.has(vendorPath))
    throw new CommandFailure(
      `${tree.show(path)} does not exist, but ${tree.show(vendorPath)} does; copy it there first`,
      EX_CONFIG,
    );
}

/** A change that was worked out, to be written when everything else is done. */
export class ConfigurationChange implements Disposable {
  readonly #place: Place;
  readonly #text: string;
  readonly #stats: Stats | undefined;
  /** The path that the user knows, without symbolic links. */
  readonly path: string;
  /** Whether there is anything to write. */
  readonly isNeeded: boolean;

  /**
   * @param edit makes the new text of the old one
   * @throws CommandFailure, also where `edit` throws NsswitchError
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

  /** @throws CommandFailure; the file is unchanged then */
  write(): void {
    explained(`cannot write ${this.path}`, () => {
      const mode = (this.#stats?.mode ?? 0o644) & 0o7777;
      this.#place.replace(Buffer.from(this.#text, "latin1"), mode, this.#stats);
    });
  }
}
