import type { NativeMemory } from "@cm4all/linux";
import { allocateNative, controlSpace, MessageBuffer, MessageProbe } from "@cm4all/linux";
import {
  MAX_DATAGRAM_SIZE,
  MAX_ERROR_SIZE,
  MAX_RESPONSE_DESCRIPTORS,
} from "@cm4all/spawn-protocol";
import type { EventLoop } from "../../thread/event-loop.ts";
import { Disposal } from "./disposal.ts";

/** The parts that all connections share. They can be shared because all work is synchronous. */
export interface Shared {
  readonly loop: EventLoop;
  readonly disposal: Disposal;
  readonly input: NativeMemory;
  readonly output: MessageBuffer;
  readonly probe: MessageProbe;
  /** Called when a system call has failed. The connection concerned is closed. */
  readonly onError: (error: Error) => void;
}

/** Makes the parts that the connections of a loop share. */
export function makeShared(loop: EventLoop, onError: (error: Error) => void): Shared {
  return {
    loop,
    disposal: new Disposal(loop),
    // One byte more than allowed shows that a datagram is too large.
    input: allocateNative(MAX_DATAGRAM_SIZE + 1),
    output: new MessageBuffer(MAX_ERROR_SIZE + 24, controlSpace(MAX_RESPONSE_DESCRIPTORS * 4)),
    probe: new MessageProbe(),
    onError,
  };
}
