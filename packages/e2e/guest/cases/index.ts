/**
 * The cases in the order in which they run on one system. Except for the packages that are
 * installed, each case leaves the system as it found it.
 */
import type { Case } from "../case.ts";
import { accountingLog } from "./accounting-log.ts";
import { accountingOutage } from "./accounting-outage.ts";
import { accountingPostgres } from "./accounting-postgres.ts";
import { accountingUnit } from "./accounting-unit.ts";
import { clientRun } from "./client-run.ts";
import { hostKilled } from "./host-killed.ts";
import { install } from "./install.ts";
import { readableJournal } from "./journal.ts";
import { kernelLimits } from "./kernel-limits.ts";
import { leftOver } from "./left-over.ts";
import { netns } from "./netns.ts";
import { netnsBoot } from "./netns-boot.ts";
import { netnsLinks } from "./netns-links.ts";
import { netnsNat } from "./netns-nat.ts";
import { netnsService } from "./netns-service.ts";
import { nss } from "./nss.ts";
import { oldNames } from "./old-names.ts";
import { oom } from "./oom.ts";
import { pages } from "./pages.ts";
import { purge } from "./purge.ts";
import { reboot } from "./reboot.ts";
import { reload } from "./reload.ts";
import { remove } from "./remove.ts";
import { replaceFirst } from "./replace-first.ts";
import { replaceOriginal } from "./replace-original.ts";
import { scriptLimits } from "./script-limits.ts";
import { scriptWrites } from "./script-writes.ts";
import { sliceLimits } from "./slice-limits.ts";
import { socketActivation } from "./socket-activation.ts";
import { stopStart } from "./stop-start.ts";
import { survive } from "./survive.ts";
import { upgrade } from "./upgrade.ts";
import { watchdog } from "./watchdog.ts";

export const cases: Readonly<Record<string, Case>> = {
  install,
  "socket-activation": socketActivation,
  "client-run": clientRun,
  survive,
  "stop-start": stopStart,
  reload,
  watchdog,
  "accounting-log": accountingLog,
  "accounting-unit": accountingUnit,
  "script-writes": scriptWrites,
  "left-over": leftOver,
  "old-names": oldNames,
  "accounting-postgres": accountingPostgres,
  "accounting-outage": accountingOutage,
  pages,
  "slice-limits": sliceLimits,
  "script-limits": scriptLimits,
  "host-killed": hostKilled,
  oom,
  "kernel-limits": kernelLimits,
  netns,
  "netns-links": netnsLinks,
  "netns-nat": netnsNat,
  "netns-service": netnsService,
  "netns-boot": netnsBoot,
  nss,
  upgrade,
  reboot,
  journal: readableJournal,
  remove,
  purge,
  "replace-original": replaceOriginal,
  "replace-first": replaceFirst,
};
