import { bytesOfLatin1, latin1Of } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { cutText, encodeMessage, MAX_TEXT, MessageReader, type Reply } from "./protocol.ts";

describe("the protocol", () => {
  const messages: Reply[] = [
    { type: "pong" },
    {
      type: "failed",
      number: 7,
      message: bytesOfLatin1("\0\n\xff\"'\u0085"),
      traceback: bytesOfLatin1(""),
    },
    { type: "notice", text: bytesOfLatin1("x".repeat(1000)) },
  ];
  const stream = messages.map(encodeMessage).join("");

  it("is the same however it is cut into chunks", () => {
    for (const size of [1, 2, 7, 100, stream.length]) {
      const reader = new MessageReader<Reply>();
      const read: Reply[] = [];
      for (let i = 0; i < stream.length; i += size)
        read.push(...reader.push(stream.slice(i, i + size)));
      expect(read).toEqual(messages);
    }
  });

  it("gives nothing for a message that is not complete", () => {
    for (let length = 0; length < encodeMessage({ type: "pong" }).length; length++)
      expect(new MessageReader().push(stream.slice(0, length))).toEqual([]);
  });

  it("refuses what is no message, or has no end", () => {
    expect(() => new MessageReader().push("rubbish\n")).toThrow("not a message: rubbish");
    expect(() => new MessageReader().push("x".repeat(400_000))).toThrow("a message without end");
  });

  it("bounds the texts of scripts, and takes the longest", () => {
    const text = cutText(bytesOfLatin1("\0".repeat(100_000)));
    expect(latin1Of(text).length).toBe(MAX_TEXT + 3);
    const longest = encodeMessage({ type: "failed", number: 1, message: text, traceback: text });
    const reader = new MessageReader<Reply>();
    expect(reader.push(longest.slice(0, -1))).toEqual([]);
    expect(reader.push("\n")).toHaveLength(1);
  });
});
