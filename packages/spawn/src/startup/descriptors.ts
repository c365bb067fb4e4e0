import { errorText, reserveDescriptors } from "@cm4all/linux";
import { LOG_WARNING, type Logger } from "../log/log.ts";

/** The maximum number of descriptors; see the descriptor budget in docs/design.md. */
const MAX_DESCRIPTORS = 65_536;

/**
 * Makes room for all descriptors. To be called while the threads start, because the caller waits for
 * the kernel. If the namespace service waited instead, each time that the kernel has to make more
 * room, clients would wait with it: 50 ms while strangers make their first 4,000 connections.
 */
export function makeRoomForDescriptors(log: Logger): void {
  try {
    reserveDescriptors(MAX_DESCRIPTORS);
  } catch (error) {
    log(LOG_WARNING, `many descriptors at once will take longer: ${errorText(error)}`);
  }
}
