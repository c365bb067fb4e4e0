/** The flags of new addresses, and the wait for duplicate address detection. @see RFC 4862 */
import { CommandFailure, EX_CANTCREAT } from "@cm4all/command";
import {
  AF_INET6,
  formatIpAddress,
  getAddresses,
  IFA_F_DADFAILED,
  IFA_F_NODAD,
  IFA_F_TENTATIVE,
  type IpPrefix,
  parseLinkAddress,
  type RtnetlinkSocket,
} from "@cm4all/linux";

/**
 * Returns the flags of a new address. If a link is not shared, no other host can have the address:
 * an IPv6 address can be used immediately, without duplicate address detection.
 * @param shared true if the link leads to a network with other hosts; false for a veth pair that is
 * not bridged, because both ends are ours
 */
export function addressFlags(prefix: IpPrefix, shared: boolean): number {
  return prefix.address.family === AF_INET6 && !shared ? IFA_F_NODAD : 0;
}

/**
 * The limit of the wait. Duplicate address detection takes one to two seconds; without a carrier,
 * it does not start.
 */
const WAIT_MS = 5000;
const POLL_MS = 50;

/**
 * Waits until the link's IPv6 addresses can be used, but not longer than `WAIT_MS`, because
 * detection may never start.
 * @param interruption called after each pause; throws to end the wait
 * @throws CommandFailure if another host has one of the addresses
 */
export async function awaitAddresses(
  socket: RtnetlinkSocket,
  index: number,
  interruption: () => Promise<void>,
): Promise<void> {
  for (const deadline = performance.now() + WAIT_MS; ; ) {
    const addresses = socket
      .dump(getAddresses())
      .map(parseLinkAddress)
      .filter((address) => address !== undefined)
      .filter(({ linkIndex }) => linkIndex === index);
    const failed = addresses.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (failed !== undefined)
      throw new CommandFailure(
        `another host has the address ${formatIpAddress(failed.prefix.address)}`,
        EX_CANTCREAT,
      );
    if (addresses.every(({ flags }) => (flags & IFA_F_TENTATIVE) === 0)) return;
    if (performance.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await interruption();
  }
}
