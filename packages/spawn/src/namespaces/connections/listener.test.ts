import { readdirSync } from "node:fs";
import {
  AF_UNIX,
  bindUnix,
  connectUnix,
  type Fd,
  listen,
  SOCK_SEQPACKET,
  send,
  socket,
} from "@cm4all/linux";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import { Listener } from "./listener.ts";

const ADDRESS = `@cm4all-spawn-listener-test-${process.pid}`;
const STRANGERS = 300;

/** Longer than a turn may accept, milliseconds. */
const LONG_MS = 1;

/** As many strangers as may be served before a spawner if each takes that long: those of a turn or two. */
const FEW = 5;

function open(): Fd {
  const fd = socket(AF_UNIX, SOCK_SEQPACKET);
  onTestFinished(() => fd.close());
  return fd;
}

function connect(): Fd {
  const fd = open();
  connectUnix(fd.number, ADDRESS);
  return fd;
}

function take(milliseconds: number): void {
  const endMs = monotonicMs() + milliseconds;
  while (monotonicMs() < endMs);
}

/**
 * Accepts a spawner, which comes first, and then strangers, and runs until the spawner's
 * message has come.
 * @param each is done whenever a stranger was accepted, with how many were, and in which turn
 * @returns how many strangers were served before it
 */
function strangersBefore(
  spawner: Fd,
  areLeft: boolean,
  each: (count: number, turn: number) => void,
): number {
  const loop = new EventLoop();
  onTestFinished(() => loop.close());
  let accepted = 0;
  let served = 0;
  const ownerOf = (connection: Connection, isStranger: boolean): ConnectionOwner => ({
    isStranger,
    isWary: () => isStranger,
    mayReceive: () => {
      if (isStranger) {
        served++;
        connection.closeUnread();
      }
      return !isStranger;
    },
    received: () => loop.stop(),
    refuseDescriptors: () => {},
    hungUp: () => {},
  });
  const listener = new Listener(
    loop,
    (connection) => {
      const isStranger = accepted++ > 0;
      if (isStranger) each(accepted - 1, loop.turn);
      if (!isStranger || areLeft) return ownerOf(connection, isStranger);
      served++;
      connection.closeUnread();
      return undefined;
    },
    (what) => expect.unreachable(what),
  );
  const fd = open();
  bindUnix(fd.number, ADDRESS);
  listen(fd.number, STRANGERS + 1);
  connectUnix(spawner.number, ADDRESS);
  const strangers = Array.from({ length: STRANGERS }, connect);
  for (const stranger of strangers) send(stranger.number, Buffer.from("request"));
  listener.start(fd.number);
  loop.run();
  listener.stop();
  return served;
}

describe("strangers that are not looked at any more", () => {
  it("are closed at once, without a process for it", () => {
    const spawner = open();
    let first = 0;
    let last = 0;
    strangersBefore(spawner, false, (count) => {
      const descriptors = readdirSync("/proc/self/fd").length;
      if (count === 1) first = descriptors;
      if (count === STRANGERS) {
        last = descriptors;
        send(spawner.number, Buffer.from("request"));
      }
    });
    expect(last).toBe(first);
  });
});

describe("a spawner that asks", () => {
  it.each([
    ["are looked at", true],
    ["are not looked at any more", false],
  ])("comes before all but a few strangers that cost time, if they %s", (_, areLeft) => {
    const spawner = open();
    const asksAfter = 100;
    const served = strangersBefore(spawner, areLeft, (count) => {
      take(LONG_MS);
      if (count === asksAfter) send(spawner.number, Buffer.from("request"));
    });
    expect(served).toBeLessThan(asksAfter + FEW);
  });

  it("waits for no turn of each stranger before it that costs little", () => {
    const spawner = open();
    const byTurn = new Map<number, number>();
    strangersBefore(spawner, false, (count, turn) => {
      byTurn.set(turn, (byTurn.get(turn) ?? 0) + 1);
      if (count === STRANGERS) send(spawner.number, Buffer.from("request"));
    });
    // On a busy machine some turns have one, because others took their time.
    expect(byTurn.size).toBeLessThan(STRANGERS / 2);
  });
});
