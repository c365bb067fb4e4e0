/**
 * Fuzzes the parsers of the kernel's netlink answers and of mountinfo, which contains paths that
 * anybody may choose.
 */
import type { Subject } from "@cm4all/testing/fuzz";
import { parseMountinfo } from "../src/mountinfo.ts";
import {
  encodeMessage,
  NetlinkFormatError,
  parseAcknowledgement,
  parseAttributes,
  parseMessages,
} from "../src/netlink/message.ts";
import { parseLink } from "../src/netlink/rtnetlink.ts";
import { parseLinkAddress, parseRoute } from "../src/netlink/rtnetlink-ip.ts";

function attempt<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof NetlinkFormatError) return undefined;
    throw error;
  }
}

export const subject: Subject = {
  name: "netlink",
  tokens: ["lo\0", "veth\0", Buffer.from([16, 0, 0, 0]), Buffer.from([4, 0, 1, 0]), " - ", "\\040"],
  read: (input) => {
    for (const message of attempt(() => parseMessages(input)) ?? []) {
      const [again] = parseMessages(encodeMessage(message));
      if (again === undefined || !again.payload.equals(message.payload))
        throw new Error("another payload");
      for (const parse of [parseLink, parseLinkAddress, parseRoute])
        attempt(() => parse(message.payload));
      attempt(() => parseAcknowledgement(message));
    }
    for (const parse of [parseLink, parseLinkAddress, parseRoute, parseAttributes])
      attempt(() => parse(input));
    parseMountinfo(input.toString("latin1"));
  },
};
