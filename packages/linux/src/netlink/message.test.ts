import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { captured } from "./fixtures.ts";
import {
  attribute,
  encodeMessage,
  NetlinkFormatError,
  NLM_F_ACK,
  NLM_F_ACK_TLVS,
  NLM_F_CAPPED,
  NLM_F_CREATE,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_EXCL,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  nestedAttribute,
  parseAcknowledgement,
  parseAttributes,
  parseMessages,
  parseString,
  parseU16,
  parseU32,
  stringAttribute,
  u32Attribute,
} from "./message.ts";

/** Calls `parse`, which may return or throw a NetlinkFormatError, but nothing else. */
function parsesOrRefuses(parse: () => unknown): void {
  try {
    parse();
  } catch (error) {
    if (!(error instanceof NetlinkFormatError)) throw error;
  }
}

describe("encodeMessage and parseMessages", () => {
  it("round-trip a message", () => {
    const one = { type: 16, flags: 0x605, sequence: 7, payload: Buffer.from("abcd") };
    const two = { type: 3, flags: 2, sequence: 8, payload: Buffer.from("efgh") };
    const datagram = Buffer.concat([encodeMessage(one), encodeMessage(two)]);
    expect(parseMessages(datagram)).toEqual([one, two]);
  });

  it("use the numbers of linux/netlink.h", () => {
    expect([NLMSG_ERROR, NLMSG_DONE]).toEqual([2, 3]);
    expect([NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP]).toEqual([1, 4, 0x10, 0x300]);
    expect([NLM_F_EXCL, NLM_F_CREATE]).toEqual([0x200, 0x400]);
    expect([NLM_F_CAPPED, NLM_F_ACK_TLVS]).toEqual([0x100, 0x200]);
  });

  it("read a message without a payload", () => {
    const empty = { type: 3, flags: 0, sequence: 1, payload: Buffer.alloc(0) };
    expect(parseMessages(encodeMessage(empty))).toEqual([empty]);
  });

  it("report at which byte of a datagram parsing failed", () => {
    const whole = encodeMessage({ type: 16, flags: 0, sequence: 1, payload: Buffer.alloc(4) });
    const cut = Buffer.concat([whole, whole.subarray(0, 10)]);
    const refusal = expect.objectContaining({
      name: "NetlinkFormatError",
      offset: 20,
      message: "netlink: truncated message header at byte 20",
    });
    expect(() => parseMessages(cut)).toThrow(refusal);
  });

  it("refuse a message truncated at any byte", () => {
    const whole = encodeMessage({ type: 16, flags: 0, sequence: 1, payload: Buffer.alloc(20) });
    for (let length = 1; length < whole.length; length++)
      expect(() => parseMessages(whole.subarray(0, length))).toThrow(NetlinkFormatError);
  });

  it("survive any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        parsesOrRefuses(() => parseMessages(bytes));
        parsesOrRefuses(() => parseAttributes(bytes));
        const acknowledgement = { flags: 0x300, type: 2, sequence: 1, payload: Buffer.from(bytes) };
        parsesOrRefuses(() => parseAcknowledgement(acknowledgement));
        parsesOrRefuses(() => parseAcknowledgement({ ...acknowledgement, flags: NLM_F_ACK_TLVS }));
      }),
    );
  });
});

describe("attributes", () => {
  it("are padded, and the padding is not part of the value", () => {
    const bytes = Buffer.concat([
      stringAttribute(3, "web"),
      attribute(1, Buffer.from("12345")),
      u32Attribute(4, 1500),
    ]);
    expect(bytes.length).toBe(8 + 12 + 8);
    const parsed = parseAttributes(bytes);
    expect(parseString(parsed.get(3) ?? Buffer.alloc(0))).toBe("web");
    expect(parsed.get(1)?.toString()).toBe("12345");
    expect(parseU32(parsed.get(4) ?? Buffer.alloc(0))).toBe(1500);
  });

  it("nest", () => {
    const bytes = nestedAttribute(18, nestedAttribute(2, u32Attribute(1, 5)));
    const inner = parseAttributes(parseAttributes(bytes).get(18) ?? Buffer.alloc(0));
    expect(parseAttributes(inner.get(2) ?? Buffer.alloc(0)).get(1)?.length).toBe(4);
  });

  it("are parsed without the flags in their type", () => {
    expect([...parseAttributes(u32Attribute(0x8000 | 5, 1)).keys()]).toEqual([5]);
  });

  it("are refused when truncated at any byte", () => {
    const whole = stringAttribute(3, "abc");
    for (let length = 1; length < whole.length; length++)
      expect(() => parseAttributes(whole.subarray(0, length))).toThrow(NetlinkFormatError);
  });

  it("are not parsed as a number of another size", () => {
    expect(() => parseU32(Buffer.alloc(3))).toThrow(NetlinkFormatError);
    expect(() => parseU16(Buffer.alloc(4))).toThrow(NetlinkFormatError);
    expect(parseU16(Buffer.alloc(2))).toBe(0);
  });
});

describe("parseString", () => {
  it("reads up to the first NUL, or everything if there is none", () => {
    const texts = ["web\0more", "web", "\0", ""].map((text) => parseString(Buffer.from(text)));
    expect(texts).toEqual(["web", "web", "", ""]);
  });
});

describe("parseAcknowledgement", () => {
  const last = (name: string) => {
    const [message] = parseMessages(captured(name).received.at(-1) ?? Buffer.alloc(0));
    if (message?.type !== NLMSG_ERROR) throw new Error(`no acknowledgement in ${name}`);
    return message;
  };

  it("reads a success", () => {
    expect(parseAcknowledgement(last("create-pair"))).toEqual({ errno: 0 });
  });

  it("reads an errno without a text", () => {
    expect(parseAcknowledgement(last("create-pair-exists"))).toEqual({ errno: 17 });
  });

  it("reads the kernel's text after the copy of the request", () => {
    expect(parseAcknowledgement(last("route-4-bad"))).toEqual({
      errno: 101,
      text: "Nexthop has invalid gateway",
    });
    expect(parseAcknowledgement(last("address-6-exists"))).toMatchObject({
      errno: 17,
      text: "ipv6: address already assigned",
    });
  });

  it("reads the text and the attribute's offset after the header of the request", () => {
    const payload = Buffer.concat([
      Buffer.from("deffffff", "hex"), // -34
      encodeMessage({ type: 16, flags: 5, sequence: 1, payload: Buffer.alloc(90) }).subarray(0, 16),
      stringAttribute(1, "Attribute failed policy validation"),
      u32Attribute(2, 32),
    ]);
    const flags = NLM_F_CAPPED | NLM_F_ACK_TLVS;
    expect(parseAcknowledgement({ type: NLMSG_ERROR, flags, sequence: 1, payload })).toEqual({
      errno: 34,
      text: "Attribute failed policy validation",
      attributeOffset: 32,
    });
  });

  it("reads attributes only if the flags announce them", () => {
    const header = encodeMessage({ type: 16, flags: 5, sequence: 1, payload: Buffer.alloc(0) });
    const errno = Buffer.from("deffffff", "hex");
    const payload = Buffer.concat([errno, header, Buffer.from("no attribute")]);
    const message = { type: NLMSG_ERROR, sequence: 1, payload };
    expect(parseAcknowledgement({ ...message, flags: NLM_F_CAPPED })).toEqual({ errno: 34 });
    const announced = { ...message, flags: NLM_F_CAPPED | NLM_F_ACK_TLVS };
    expect(() => parseAcknowledgement(announced)).toThrow(NetlinkFormatError);
  });

  it("reads an offset without a text, after a request without a payload", () => {
    const header = encodeMessage({ type: 16, flags: 5, sequence: 1, payload: Buffer.alloc(0) });
    const payload = Buffer.concat([Buffer.from("eaffffff", "hex"), header, u32Attribute(2, 16)]);
    const message = { type: NLMSG_ERROR, flags: NLM_F_ACK_TLVS, sequence: 1, payload };
    expect(parseAcknowledgement(message)).toEqual({ errno: 22, attributeOffset: 16 });
  });

  it("refuses an acknowledgement truncated at any byte", () => {
    const message = last("route-4-bad");
    for (let length = 0; length < message.payload.length; length++) {
      const cut = { ...message, payload: message.payload.subarray(0, length) };
      // At this length only the attributes are missing.
      if (length !== 4 + 52) expect(() => parseAcknowledgement(cut)).toThrow(NetlinkFormatError);
    }
  });
});
