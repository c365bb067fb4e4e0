import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { drainEventfd, eventfd, type Fd, signalEventfd } from "@cm4all/linux";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLoop } from "../../thread/event-loop.ts";
import type { Peer } from "./permission.ts";
import { WaitingRoom } from "./waiting-room.ts";

/** The maximum memory for a peer that waits, in bytes: a few small objects and table entries. */
const FEW_BYTES = 400;

function setUp(called: (peer: Peer) => void) {
  const loop = new EventLoop();
  onTestFinished(() => loop.close());
  return {
    loop,
    room: new WaitingRoom(loop, called, (error) => expect.unreachable(error.message)),
  };
}

function open(): Fd {
  const fd = eventfd();
  onTestFinished(() => fd.close());
  return fd;
}

function peerOf(uid: number, { number: socketFd } = open()): Peer {
  return { credentials: { pid: 1, uid, gid: 0 }, socketFd, listenerFd: 0, acceptedMs: 0 };
}

describe("peers that wait", () => {
  it("are counted by uid, and kept in the order in which they came", () => {
    const { room } = setUp(() => expect.unreachable());
    const [a, b, c] = [peerOf(1), peerOf(2), peerOf(2)];
    for (const peer of [a, b, c]) room.add(peer);
    expect([room.size, room.countOf(1), room.countOf(2), room.countOf(3)]).toEqual([3, 1, 2, 0]);
    expect([room.oldest(), room.oldest(2), room.oldest(3)]).toEqual([a, b, undefined]);
    room.take(a);
    room.take(b);
    expect([room.size, room.oldest()]).toEqual([1, c]);
    expect(() => room.take(a)).toThrow("no peer waits");
  });

  it("leave the room when they have sent something", () => {
    const called: Peer[] = [];
    const { loop, room } = setUp((peer) => called.push(peer));
    const speaker = open();
    const peers = [peerOf(1), peerOf(1, speaker)];
    for (const peer of peers) room.add(peer);
    signalEventfd(speaker.number);
    loop.after(20, () => loop.stop());
    loop.run();
    expect(called).toEqual([peers[1]]);
    expect([room.size, room.oldest()]).toEqual([1, peers[0]]);
  });

  it("are not reported if they were taken earlier in the same turn", () => {
    // Both events are fetched together.
    const fds = [open(), open()];
    const peers = fds.map((fd) => peerOf(1, fd));
    const called: Peer[] = [];
    const { loop, room } = setUp((peer) => {
      called.push(peer);
      for (const other of peers) if (other !== peer) room.take(other);
      loop.after(20, () => loop.stop());
    });
    for (const peer of peers) room.add(peer);
    for (const { number } of fds) signalEventfd(number);
    loop.run();
    expect(called).toHaveLength(1);
    expect(room.size).toBe(0);
  });

  it("can wait again", () => {
    const fd = open();
    const peer = peerOf(1, fd);
    let count = 0;
    const { loop, room } = setUp((called) => {
      drainEventfd(fd.number);
      room.add(called);
      if (++count === 2) loop.stop();
      else signalEventfd(fd.number);
    });
    room.add(peer);
    signalEventfd(fd.number);
    loop.run();
    expect(room.size).toBe(1);
  });

  it("take little memory", () => {
    setFlagsFromString("--expose-gc");
    const collect: unknown = runInNewContext("gc");
    const used = () => {
      if (typeof collect === "function") collect();
      return process.memoryUsage().heapUsed;
    };
    const { room } = setUp(() => expect.unreachable());
    const fds = Array.from({ length: 2000 }, open);
    const before = used();
    for (const fd of fds) room.add(peerOf(54_321, fd));
    expect((used() - before) / fds.length).toBeLessThan(FEW_BYTES);
    expect(room.size).toBe(fds.length);
  });
});
