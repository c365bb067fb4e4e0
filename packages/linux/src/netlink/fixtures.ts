/**
 * For tests: captures of what ip(8) and bridge(8) sent, and what the kernel answered. See
 * fixtures/netlink/capture.mjs.
 */
import { readFileSync } from "node:fs";

interface Capture {
  readonly command: string;
  readonly sent: readonly string[];
  readonly received: readonly string[];
}

const file = new URL("../../fixtures/netlink/iproute2.json", import.meta.url);
const captures = JSON.parse(readFileSync(file, "utf8")).captures as Record<string, Capture>;

/** Returns the messages of the capture with this name, in order. */
export function captured(name: string): { sent: Buffer[]; received: Buffer[] } {
  const capture = captures[name];
  if (capture === undefined) throw new Error(`nothing captured as ${name}`);
  const bytes = (hex: string) => Buffer.from(hex, "hex");
  return { sent: capture.sent.map(bytes), received: capture.received.map(bytes) };
}
