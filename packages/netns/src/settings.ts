/** Settings of a bridge's port, and of the kernel inside a namespace. */
import { writeFileSync } from "node:fs";
import { CommandFailure, EX_CONFIG } from "@cm4all/command";
import {
  addBridgeVlan,
  deleteBridgeVlan,
  isErrno,
  isolateBridgePort,
  type Link,
  type RtnetlinkSocket,
  withNamespace,
} from "@cm4all/linux";
import type { BridgePort } from "./description.ts";
import type { NetworkNamespace } from "./namespace.ts";

/** Gives a port of a bridge its VLANs, and isolates it if that is wanted. @throws SyscallError */
export function setPort(
  host: RtnetlinkSocket,
  { index }: Link,
  { bridge }: Link,
  { vlan, taggedVlans, isolated }: BridgePort,
): void {
  if (vlan !== undefined) {
    host.request(addBridgeVlan(index, vlan, true));
    // A new port is in the bridge's default VLAN, and would stay in it.
    const pvid = bridge?.defaultPvid ?? 0;
    if (pvid !== 0 && pvid !== vlan) host.request(deleteBridgeVlan(index, pvid));
  }
  for (const id of taggedVlans) host.request(addBridgeVlan(index, id, false));
  if (isolated) host.request(isolateBridgePort(index));
}

/** Returns the file of a setting, relative to /proc/sys. Pure. @see sysctl(8) */
export function sysctlPath(key: string): string {
  // A dot in the name of a link is written as a slash in the key.
  return [...key].map((c) => (c === "." ? "/" : c === "/" ? "." : c)).join("");
}

/**
 * Writes a setting of a namespace.
 * @throws CommandFailure for a setting that the namespace does not have
 */
export function writeSysctl(namespace: NetworkNamespace, key: string, value: string): void {
  const write = () => writeFileSync(`/proc/sys/${sysctlPath(key)}`, value, { flag: "r+" });
  try {
    withNamespace(namespace.fd.number, "net", write);
  } catch (error) {
    const problem = isErrno(error, "ENOENT")
      ? "is not a setting of a network namespace on this kernel"
      : isErrno(error, "EACCES", "EPERM")
        ? "is a setting of the whole host"
        : undefined;
    if (problem === undefined) throw error;
    throw new CommandFailure(`${key} ${problem}`, EX_CONFIG, { cause: error });
  }
}
