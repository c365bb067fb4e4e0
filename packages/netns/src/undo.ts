/** Carries out undos. It is not a failure if something is already gone. */
import { fstatSync } from "node:fs";
import {
  changeLink,
  deleteLink,
  isErrno,
  type Link,
  moveLink,
  openOwnNamespace,
  parseMac,
  type RtnetlinkSocket,
  setLinkUp,
} from "@cm4all/linux";
import { restoreForwarding } from "./forwarding.ts";
import { type Holdings, tryGetLink, tryGetLinkByIndex } from "./holdings.ts";
import { detachNamespace } from "./namespace.ts";
import { deleteTable } from "./nft.ts";
import { endProcesses } from "./processes.ts";
import { removeResolvConf } from "./resolv-conf.ts";
import { tableName } from "./rules.ts";
import type { Undo } from "./step.ts";

/** Carries out an undo, for those parts that still exist. */
export function undoOne(holdings: Holdings, undo: Undo): void {
  const { name, namespace, attached } = holdings;
  switch (undo.kind) {
    case "end-processes":
      if (namespace !== undefined) endProcesses(fstatSync(namespace.fd.number).ino);
      return;
    case "delete-link":
      deletePairOrLink(holdings, undo.link);
      return;
    case "return-link":
      returnLink(holdings, undo.link, undo.parent);
      return;
    case "delete-table":
      deleteTable(tableName(name), holdings.lock?.());
      return;
    case "restore-forwarding":
      restoreForwarding(name, holdings.host, holdings.settings, () => {
        holdings.settings = [];
        holdings.save?.();
      });
      return;
    case "remove-resolv-conf":
      removeResolvConf(name);
      return;
    case "delete-namespace":
      if (attached) detachNamespace(name);
      holdings.attached = false;
  }
}

/**
 * Deletes a link; the deletion of one end of a pair deletes the other as well. Links are found by
 * their index if it is recorded, because a name may have changed.
 */
function deletePairOrLink(holdings: Holdings, link: string): void {
  const { host, namespace } = holdings;
  const known = holdings.links.get(link);
  const inside = findInside(holdings, link);
  if (inside !== undefined && namespace !== undefined)
    deleteIfThere(namespace.socket, inside.index);
  const outside =
    known?.outsideIndex === undefined ? undefined : tryGetLinkByIndex(host, known.outsideIndex);
  if (outside?.kind === "veth") deleteIfThere(host, outside.index);
  holdings.links.delete(link);
}

function findInside(holdings: Holdings, ...names: string[]): Link | undefined {
  const { namespace, links, ours } = holdings;
  if (namespace === undefined) return undefined;
  const index = links.get(names[0] ?? "")?.insideIndex;
  if (index !== undefined) {
    const link = tryGetLinkByIndex(namespace.socket, index);
    if (link !== undefined) return link;
  }
  if (!ours) return undefined;
  for (const name of names) {
    const link = tryGetLink(namespace.socket, name);
    if (link !== undefined) return link;
  }
  return undefined;
}

function deleteIfThere(socket: RtnetlinkSocket, index: number): void {
  try {
    socket.request(deleteLink(index));
  } catch (error) {
    // It was deleted already, with its other end or with the namespace.
    if (!isErrno(error, "ENODEV")) throw error;
  }
}

/**
 * The name that a link gets when it is moved back and its former name is taken on the host. The
 * kernel replaces %d with a number.
 */
const FALLBACK_NAME = "moved%d";

function returnLink(holdings: Holdings, link: string, parent: string): void {
  const { namespace, host, links } = holdings;
  const inside = findInside(holdings, link, parent);
  if (inside === undefined || namespace === undefined) return;
  const original = links.get(link)?.original;
  using here = openOwnNamespace("net");
  if (tryGetLink(host, parent) !== undefined) {
    console.error(
      `the name ${parent} is taken on the host: the link gets a free name such as ${FALLBACK_NAME.replace("%d", "0")}`,
    );
    namespace.socket.request(moveLink(inside.index, FALLBACK_NAME, here.number));
    links.delete(link);
    return;
  }
  namespace.socket.request(moveLink(inside.index, parent, here.number));
  links.delete(link);
  const back = tryGetLink(host, parent);
  if (back === undefined || original === undefined) return;
  const { mtuBytes, mac, txQueueLength } = original;
  host.request(
    changeLink(back.index, {
      mtuBytes,
      mac: mac === undefined || mac === back.mac ? undefined : parseMac(mac),
      txQueueLength,
    }),
  );
  if (original.up) host.request(setLinkUp(back.index));
}
