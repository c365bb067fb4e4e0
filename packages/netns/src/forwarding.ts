/**
 * The host's forwarding, link by link: a packet that comes in on a link is forwarded only if
 * the setting of that link allows it. The setting for all links, net.ipv4.ip_forward, is never
 * changed.
 * @see the kernel's Documentation/networking/ip-sysctl.rst
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isErrno } from "@cm4all/linux";
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

/** Returns the settings that have to be changed, with their present values. */
export function closedSettings(link: string, families: readonly Family[]): ChangedSetting[] {
  const settings: ChangedSetting[] = [];
  for (const family of families) {
    const path = settingPath(link, family);
    if (path === undefined || (family === "ipv6" && read(IPV6_ALL) === "1")) continue;
    const value = read(path);
    if (value === "0") settings.push({ path, value });
  }
  return settings;
}

/**
 * Makes the host forward packets that come in on `link`.
 * @param record called before anything changes, with the settings that are to be given to
 * `restoreForwarding` later
 */
export function allowForwarding(
  name: string,
  link: string,
  families: readonly Family[],
  record: (settings: readonly ChangedSetting[]) => void,
): void {
  withSharedLock(() => {
    const closed = closedSettings(link, families);
    // Settings that other namespaces have changed; the last namespace that needs a setting restores
    // it.
    const inherited = othersSettings(name).filter(({ path }) =>
      families.some((family) => path === settingPath(link, family)),
    );
    record([...closed, ...inherited]);
    for (const { path } of closed) writeFileSync(join(SYS, path), "1", { flag: "r+" });
  });
}

/**
 * Restores those of the settings that no other namespace needs.
 * @param forget records that this namespace needs none of the settings any more; called before the
 * shared lock is released, because the next process that takes it reads the record
 */
export function restoreForwarding(
  name: string,
  settings: readonly ChangedSetting[],
  forget: () => void,
): void {
  if (settings.length === 0) return;
  withSharedLock(() => {
    const needed = new Set(othersSettings(name).map(({ path }) => path));
    for (const { path, value } of settings)
      if (!needed.has(path))
        try {
          writeFileSync(join(SYS, path), value, { flag: "r+" });
        } catch (error) {
          // The link was removed or renamed.
          if (!isErrno(error, "ENOENT")) throw error;
        }
    forget();
  });
}

function othersSettings(name: string): ChangedSetting[] {
  const found = new Map<string, ChangedSetting>();
  for (const [other, { settings }] of peekAllRecords())
    if (other !== name) for (const setting of settings) found.set(setting.path, setting);
  return [...found.values()];
}
