/** Waits for addresses on networks that others share. @see RFC 4862 */
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
 * Returns the flags of an address. On a pair both ends are ours: nobody else can have the
 * address, and it can be used at once.
 */
export function addressFlags(prefix: IpPrefix, shared: boolean): number {
  return prefix.address.family === AF_INET6 && !shared ? IFA_F_NODAD : 0;
}

/** Duplicate address detection takes one to two seconds; without a carrier it does not start. */
const WAIT_MS = 5000;
const POLL_MS = 50;

/**
 * Waits until the link's IPv6 addresses can be used, or until it is clear that there is nobody
 * to ask.
 * @throws CommandFailure if somebody else has one of them
 */
export async function awaitAddresses(
  socket: RtnetlinkSocket,
  index: number,
  interruption: () => Promise<void>,
): Promise<void> {
  for (const deadline = Date.now() + WAIT_MS; ; ) {
    const addresses = socket
      .dump(getAddresses())
      .map(parseLinkAddress)
      .filter((address) => address !== undefined)
      .filter(({ linkIndex }) => linkIndex === index);
    const failed = addresses.find(({ flags }) => (flags & IFA_F_DADFAILED) !== 0);
    if (failed !== undefined)
      throw new CommandFailure(
        `somebody else has the address ${formatIpAddress(failed.prefix.address)}`,
        EX_CANTCREAT,
      );
    if (addresses.every(({ flags }) => (flags & IFA_F_TENTATIVE) === 0)) return;
    if (Date.now() > deadline) return;
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    await interruption();
  }
}
