/**
 * The host's forwarding, link by link: a packet that comes in on a link is forwarded only if
 * the setting of that link allows it. The setting for all links, net.ipv4.ip_forward, is never
 * changed.
 * @see the kernel's Documentation/networking/ip-sysctl.rst
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno, type Link, type RtnetlinkSocket } from "@cm4all/linux";
import { tryGetLinkByIndex } from "./holdings.ts";
import { peekAllRecords, withSharedLock } from "./record.ts";
import type { ChangedSetting } from "./record-text.ts";

export type Family = "ipv4" | "ipv6";

const SYS = "/proc/sys";

/**
 * This setting has existed since Linux 6.17. Without it, IPv6 packets are forwarded for all links
 * or for none: a link's IPv6 `forwarding` only selects whether the host behaves as a router on that
 * link.
 */
const FORCE_FORWARDING = "net/ipv6/conf/default/force_forwarding";
const IPV6_ALL = "net/ipv6/conf/all/forwarding";

const read = (path: string): string => readFileSync(join(SYS, path), "utf8").trim();

/**
 * Returns the path of the setting that makes the host forward packets of a family that come in on
 * the link; undefined if there is none.
 */
function settingPath(link: string, family: Family): string | undefined {
  if (family === "ipv4") return `net/ipv4/conf/${link}/forwarding`;
  return hasForceForwarding() ? `net/ipv6/conf/${link}/force_forwarding` : undefined;
}

const hasForceForwarding = (): boolean => existsSync(join(SYS, FORCE_FORWARDING));

/** Returns the reason why the host cannot forward IPv6 link by link; undefined if it can. */
export function ipv6ForwardingProblem(): string | undefined {
  if (hasForceForwarding() || read(IPV6_ALL) === "1") return undefined;
  return (
    "this kernel forwards IPv6 for all links or for none: you have to decide whether to set " +
    "net.ipv6.conf.all.forwarding = 1 in /etc/sysctl.d (the host then ignores router " +
    'advertisements, unless accept_ra is 2); masquerade = "ipv4" and publish = ["0.0.0.0:8080:80/tcp"] do not need it'
  );
}

/** Returns the path of the same setting of another link; `all` stands for all links. */
const withLink = (path: string, link: string): string =>
  path.replace(/(?<=^net\/ipv[46]\/conf\/)[^/]+/, () => link);

/** Returns the settings that have to be changed, with their present values. */
function closedSettings(link: Link, families: readonly Family[]): ChangedSetting[] {
  const settings: ChangedSetting[] = [];
  for (const family of families) {
    const path = settingPath(link.name, family);
    if (path === undefined || (family === "ipv6" && read(IPV6_ALL) === "1")) continue;
    const value = read(path);
    if (value === "0")
      settings.push({ path, value, linkIndex: link.index, ofAll: read(withLink(path, "all")) });
  }
  return settings;
}

/**
 * Makes the host forward packets that come in on `link`.
 * @param host a socket of the host's network namespace
 * @param record called before anything changes, with the settings that are to be given to
 * `restoreForwarding` later
 */
export function allowForwarding(
  name: string,
  host: RtnetlinkSocket,
  link: Link,
  families: readonly Family[],
  record: (settings: readonly ChangedSetting[]) => void,
): void {
  withSharedLock(() => {
    const closed = closedSettings(link, families);
    const paths = families.map((family) => settingPath(link.name, family));
    // Settings that other namespaces have changed; the last namespace that needs a setting restores
    // it.
    const inherited = othersSettings(name, host).filter(({ path }) => paths.includes(path));
    record([...closed, ...inherited]);
    for (const { path } of closed) writeFileSync(join(SYS, path), "1", { flag: "r+" });
  });
}

/**
 * Restores those of the settings that no other namespace needs. If somebody has enabled forwarding
 * for all links meanwhile, as Docker does at its start, the settings stay enabled: they would now
 * be enabled even if `up` had not changed them.
 * @param host a socket of the host's network namespace
 * @param forget records that this namespace needs none of the settings any more; called before the
 * shared lock is released, because the next process that takes it reads the record
 */
export function restoreForwarding(
  name: string,
  host: RtnetlinkSocket,
  settings: readonly ChangedSetting[],
  forget: () => void,
): void {
  if (settings.length === 0) return;
  withSharedLock(() => {
    const needed = new Set(othersSettings(name, host).map(({ path }) => path));
    for (const { path, value, ofAll } of presentSettings(settings, host))
      if (!needed.has(path))
        try {
          if (ofAll !== "1" && read(withLink(path, "all")) === "1") continue;
          writeFileSync(join(SYS, path), value, { flag: "r+" });
        } catch (error) {
          // The link has just been removed; or it was renamed, and the record is from an earlier
          // version, which did not record the link's index.
          if (!isErrno(error, "ENOENT")) throw error;
        }
    forget();
  });
}

/** Returns the settings that the records of other namespaces list, with their present paths. */
function othersSettings(name: string, host: RtnetlinkSocket): ChangedSetting[] {
  const found = new Map<string, ChangedSetting>();
  for (const [other, { settings }] of peekAllRecords())
    if (other !== name)
      for (const setting of settings) found.set(`${setting.path} ${setting.linkIndex}`, setting);
  return presentSettings([...found.values()], host);
}

/** Returns the settings with the present names of their links, without those of removed links. */
function presentSettings(
  settings: readonly ChangedSetting[],
  host: RtnetlinkSocket,
): ChangedSetting[] {
  return settings.flatMap((setting) => {
    if (setting.linkIndex === undefined) return [setting];
    const link = tryGetLinkByIndex(host, setting.linkIndex);
    return link === undefined ? [] : [{ ...setting, path: withLink(setting.path, link.name) }];
  });
}
