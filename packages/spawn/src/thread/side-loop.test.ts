import { drainEventfd, EPOLLIN, eventfd, type Fd, signalEventfd } from "@cm4all/linux";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLoop } from "./event-loop.ts";
import { SideLoop } from "./side-loop.ts";

const MANY = 100;

function signalled(): Fd {
  const fd = eventfd();
  onTestFinished(() => fd.close());
  signalEventfd(fd.number);
  return fd;
}

function newLoop(): EventLoop {
  const loop = new EventLoop();
  onTestFinished(() => loop.close());
  return loop;
}

describe("descriptors of a side loop", () => {
  it("are served after everything else, two in each turn", () => {
    const loop = newLoop();
    let served = 0;
    const servedBefore: number[] = [];
    const side = new SideLoop(loop, (fd) => {
      drainEventfd(fd);
      served++;
    });
    for (let i = 0; i < MANY; i++) side.watch(signalled().number);
    // This descriptor is not the side loop's, and is ready in each turn.
    loop.watch(signalled().number, EPOLLIN, () => {
      servedBefore.push(served);
      if (served === MANY) loop.stop();
    });
    loop.run();
    expect(servedBefore).toEqual(Array.from({ length: MANY / 2 + 1 }, (_, turn) => 2 * turn));
  });

  it("are served in rotation if all of them stay ready", () => {
    const loop = newLoop();
    const counts = new Map<number, number>();
    const side = new SideLoop(loop, (fd) => {
      counts.set(fd, (counts.get(fd) ?? 0) + 1);
      if (counts.size === MANY && Math.min(...counts.values()) >= 3) loop.stop();
    });
    for (let i = 0; i < MANY; i++) side.watch(signalled().number);
    loop.run();
    expect(Math.max(...counts.values())).toBeLessThanOrEqual(4);
  });

  it("are not served after they have been forgotten", () => {
    const loop = newLoop();
    const served: number[] = [];
    const side = new SideLoop(loop, (fd) => served.push(fd));
    const fds = [signalled(), signalled()];
    for (const { number } of fds) side.watch(number);
    side.forget(fds[0]?.number ?? -1);
    loop.after(20, () => loop.stop());
    loop.run();
    expect(new Set(served)).toEqual(new Set([fds[1]?.number]));
  });
});
