import { AF_UNIX, type Fd, SOCK_SEQPACKET, socket } from "@cm4all/linux";
import { childPids } from "@cm4all/testing";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLoop } from "../../thread/event-loop.ts";
import { Disposal } from "./disposal.ts";

/** As soon as this many sockets wait, the disposal closes them. */
const MANY = 256;

function sockets(count: number): Fd[] {
  return Array.from({ length: count }, () => socket(AF_UNIX, SOCK_SEQPACKET));
}

const openOf = (fds: readonly Fd[]) => fds.filter(({ isOpen }) => isOpen).length;

/** Runs the loop until `condition` holds, for ten seconds at most. */
function runUntil(loop: EventLoop, condition: () => boolean): void {
  const look = () => {
    if (condition()) loop.stop();
    else loop.after(10, look);
  };
  loop.after(0, look);
  loop.after(10_000, () => loop.stop());
  loop.run();
}

describe("sockets that may take a long time to close", () => {
  it("are closed together, and the child that closes them is reaped", () => {
    const loop = new EventLoop();
    onTestFinished(() => loop.close());
    const disposal = new Disposal(loop);
    const children = childPids(process.pid).length;
    const fds = sockets(MANY - 1);
    for (const fd of fds) disposal.add(fd);
    expect(openOf(fds)).toBe(MANY - 1);
    runUntil(loop, () => openOf(fds) === 0 && childPids(process.pid).length === children);
    expect(openOf(fds)).toBe(0);
    expect(childPids(process.pid).length).toBe(children);
  });

  it("are closed immediately if there are many of them, unless the previous child is still running", () => {
    const loop = new EventLoop();
    onTestFinished(() => loop.close());
    const disposal = new Disposal(loop);
    const children = childPids(process.pid).length;
    const fds = sockets(MANY);
    for (const fd of fds) disposal.add(fd);
    expect(openOf(fds)).toBe(0);
    // The first child may not have ended yet.
    const others = sockets(3 * MANY);
    for (const fd of others) disposal.add(fd);
    runUntil(loop, () => openOf(others) === 0 && childPids(process.pid).length === children);
    expect(openOf(others)).toBe(0);
    expect(childPids(process.pid).length).toBe(children);
  });
});
