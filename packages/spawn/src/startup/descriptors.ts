import { errorText, isErrno, reserveDescriptors } from "@cm4all/linux";
import { LOG_WARNING, type Logger } from "../log/log.ts";

/** The maximum number of descriptors; see the descriptor budget in docs/design.md. */
const MAX_DESCRIPTORS = 65_536;

/**
 * Makes the kernel's table of descriptors large enough for the maximum number. The kernel makes the
 * caller wait for this, which delays no client while the thread of the namespace service is still
 * starting. Without this call, that thread and its clients would wait each time the kernel enlarges
 * the table: for 30 to 50 ms in all, while unprivileged users make their first 4,000 connections.
 */
export function makeRoomForDescriptors(log: Logger): void {
  try {
    reserveDescriptors(MAX_DESCRIPTORS);
  } catch (error) {
    // The number of descriptors has reached its limit, so the table need not grow. The next open(2)
    // reports the limit.
    if (isErrno(error, "EMFILE")) return;
    log(
      LOG_WARNING,
      `opening many descriptors in a short time will take longer: ${errorText(error)}`,
    );
  }
}
