/** Messages of a script host to the daemon. */
import type { Subject } from "@cm4all/testing/fuzz";
import { MessageReader } from "../src/message-reader.ts";
import { parseReply } from "../src/parse-reply.ts";
import { encodeMessage, MAX_REPLY_BYTES, ProtocolError } from "../src/protocol.ts";

/** The messages that were read, and whether the stream was given up. */
function readAll(input: Buffer, size: number): string[] {
  const reader = new MessageReader(MAX_REPLY_BYTES);
  const read: string[] = [];
  try {
    for (let i = 0; i < input.length; i += size)
      for (const value of reader.push(Buffer.from(input.subarray(i, i + size)))) {
        const reply = parseReply(value);
        const text = JSON.stringify(reply);
        if (encodeMessage(reply).length > 4 + MAX_REPLY_BYTES) throw new Error("too long");
        read.push(text);
      }
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error;
    if (error.message.length > 1000) throw new Error("an error of too many characters");
    read.push(error.message);
  }
  return read;
}

/** Corrects the lengths in the input: otherwise it would have hardly any messages. */
function framed(input: Buffer): Buffer {
  const parts = input.toString("latin1").split("\n");
  return Buffer.concat(
    parts.map((part) => {
      const json = Buffer.from(part, "latin1");
      const length = Buffer.alloc(4);
      length.writeUInt32LE(json.length);
      return Buffer.concat([length, json]);
    }),
  );
}

export const subject: Subject = {
  name: "host",
  tokens: [
    ...'ready unusable begin done failed dropped error notice pong "type": "number":1'.split(" "),
    ...['"effect":"none"', '"cause":"script"', '"message":""', '"text":""', "{", "}", ",", "\n"],
    ...['"handlers":{"released":"one","running":"none","bearsRepetition":false}', "\\u0100", "[["],
  ],
  read: (input) => {
    for (const bytes of [input, framed(input)]) {
      const whole = readAll(bytes, Math.max(1, bytes.length));
      for (const size of [1, 3, 4096])
        if (JSON.stringify(readAll(bytes, size)) !== JSON.stringify(whole))
          throw new Error(`something else in chunks of ${size}`);
    }
  },
};
