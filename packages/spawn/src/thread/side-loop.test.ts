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

describe("a descriptor on the side", () => {
  it("is served after everything else, two in each turn", () => {
    const loop = newLoop();
    const side = new SideLoop(loop);
    let served = 0;
    const servedBefore: number[] = [];
    for (let i = 0; i < MANY; i++) {
      const { number } = signalled();
      side.watch(number, EPOLLIN, () => {
        drainEventfd(number);
        served++;
      });
    }
    // This one is ready in each turn.
    loop.watch(signalled().number, EPOLLIN, () => {
      servedBefore.push(served);
      if (served === MANY) loop.stop();
    });
    loop.run();
    expect(servedBefore).toEqual(Array.from({ length: MANY / 2 + 1 }, (_, turn) => 2 * turn));
  });

  it("gets its turn even if each is ready again at once", () => {
    const loop = newLoop();
    const side = new SideLoop(loop);
    const counts: number[] = Array.from({ length: MANY }, () => 0);
    for (let i = 0; i < MANY; i++)
      side.watch(signalled().number, EPOLLIN, () => {
        counts[i] = (counts[i] ?? 0) + 1;
        if (counts.every((count) => count >= 3)) loop.stop();
      });
    loop.run();
    expect(Math.max(...counts)).toBeLessThanOrEqual(4);
  });

  it("is no longer served once it is forgotten", () => {
    const loop = newLoop();
    const side = new SideLoop(loop);
    let served = 0;
    // Both events are fetched together; the first handler forgets the second watch.
    const fds = [signalled(), signalled()];
    const tokens = fds.map(({ number }, i) =>
      side.watch(number, EPOLLIN, () => {
        served++;
        for (const [j, token] of tokens.entries()) side.forget(token, fds[j]?.number);
        loop.after(20, () => loop.stop());
        expect(i).toBe(0);
      }),
    );
    loop.run();
    expect(served).toBe(1);
  });
});
