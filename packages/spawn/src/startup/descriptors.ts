import { errorText, isErrno, reserveDescriptors } from "@cm4all/linux";
import { LOG_WARNING, type Logger } from "../log/log.ts";

/** The maximum number of descriptors; see the descriptor budget in docs/design.md. */
const MAX_DESCRIPTORS = 65_536;

/**
 * Makes room for all descriptors. To be called while the thread of the namespace service starts,
 * because the caller waits for the kernel. If that thread had to wait whenever the kernel makes
 * more room, clients would wait with it: for 30 to 50 ms in all, while strangers make their first
 * 4,000 connections.
 */
export function makeRoomForDescriptors(log: Logger): void {
  try {
    reserveDescriptors(MAX_DESCRIPTORS);
  } catch (error) {
    // The limit is reached, so the table need not grow. The next open of a file reports that.
    if (isErrno(error, "EMFILE")) return;
    log(LOG_WARNING, `many descriptors at once will take longer: ${errorText(error)}`);
  }
}
