import { drainEventfd, EPOLLIN, eventfd, signalEventfd } from "@cm4all/linux";
import { describe, expect, it } from "vitest";
import { EventLoop, monotonicMs } from "./event-loop.ts";

/** Runs a loop until it is stopped. Returns what its timers and watches have noted. */
function run(prepare: (loop: EventLoop, note: (text: string) => void) => void): string[] {
  const loop = new EventLoop();
  const notes: string[] = [];
  prepare(loop, (text) => notes.push(text));
  loop.run();
  loop.close();
  return notes;
}

describe("timers", () => {
  it("run in the order in which they are due, and only once", () => {
    const startMs = monotonicMs();
    const notes = run((loop, note) => {
      for (let isRight = false; !isRight; ) {
        const fromMs = monotonicMs();
        const timers = [
          loop.after(30, () => note("late")),
          loop.after(10, () => note("early")),
          loop.after(0, () => note("at once")),
        ];
        // If the machine pauses between two of these calls, the later timer may be due later.
        isRight = monotonicMs() - fromMs < 10;
        if (!isRight) for (const timer of timers) timer.cancel();
      }
      loop.after(50, () => loop.stop());
    });
    expect(notes).toEqual(["at once", "early", "late"]);
    expect(monotonicMs() - startMs).toBeGreaterThanOrEqual(50);
  });

  it("can be cancelled, even by an earlier timer in the same turn", () => {
    const notes = run((loop, note) => {
      const never = loop.after(1, () => note("cancelled before"));
      never.cancel();
      never.cancel();
      const first = loop.after(5, () => {
        note("first");
        second.cancel();
        first.cancel();
      });
      const second = loop.after(5, () => note("second"));
      loop.after(20, () => loop.stop());
    });
    expect(notes).toEqual(["first"]);
  });

  it("that a timer sets run in the next turn, so that events are handled in between", () => {
    using fd = eventfd();
    const notes = run((loop, note) => {
      let turns = 0;
      const step = () => {
        note("step");
        signalEventfd(fd.number);
        if (++turns < 3) loop.after(0, step);
        else loop.after(5, () => loop.stop());
      };
      loop.watch(fd.number, EPOLLIN, () => {
        drainEventfd(fd.number);
        note("event");
      });
      loop.after(0, step);
    });
    expect(notes).toEqual(["step", "event", "step", "event", "step", "event"]);
  });
});

describe("watches", () => {
  it("can be ended by their own handlers, and by those of others that are ready, too", () => {
    using one = eventfd();
    using two = eventfd();
    for (const fd of [one, two]) signalEventfd(fd.number);
    const notes = run((loop, note) => {
      const end = (name: string) => {
        note(name);
        loop.forget(first, one.number);
        loop.forget(second, two.number);
        loop.forget(first, one.number);
        loop.after(5, () => loop.stop());
      };
      const first = loop.watch(one.number, EPOLLIN, () => end("first"));
      const second = loop.watch(two.number, EPOLLIN, () => end("second"));
    });
    // Both stay readable, but the handler that ran first has ended both watches.
    expect(notes.length).toBe(1);
  });

  it.each([
    ["", (fd: number) => fd],
    [", even if the close ended the old watch", () => undefined],
  ])("on a reused descriptor number get no event of the closed descriptor%s", (_, watched) => {
    const one = eventfd();
    const two = eventfd();
    for (const fd of [one, two]) signalEventfd(fd.number);
    const { number } = two;
    const notes = run((loop, note) => {
      loop.watch(one.number, EPOLLIN, () => {
        loop.forget(second, watched(two.number));
        two.close();
        using next = eventfd();
        expect(next.number).toBe(number);
        const token = loop.watch(next.number, EPOLLIN, () => note("stale"));
        loop.forget(token, next.number);
        note("replaced");
        loop.stop();
      });
      const second = loop.watch(two.number, EPOLLIN, () => {
        note("second");
        drainEventfd(two.number);
      });
    });
    expect(notes.at(-1)).toBe("replaced");
    expect(notes).not.toContain("stale");
    one.close();
  });

  it("that watchFirst makes are handled before all others that are ready", () => {
    const fds = Array.from({ length: 10 }, () => eventfd());
    for (const fd of fds) signalEventfd(fd.number);
    const notes = run((loop, note) => {
      for (const [i, fd] of fds.entries()) {
        const handle = () => {
          drainEventfd(fd.number);
          note(i % 3 === 0 ? "first" : "other");
        };
        if (i % 3 === 0) loop.watchFirst(fd.number, EPOLLIN, handle);
        else loop.watch(fd.number, EPOLLIN, handle);
      }
      loop.after(10, () => loop.stop());
    });
    expect(notes).toEqual([...Array(4).fill("first"), ...Array(6).fill("other")]);
    for (const fd of fds) fd.close();
  });

  it("whose handler throws end the loop, which passes on the exception", () => {
    using fd = eventfd();
    signalEventfd(fd.number);
    const loop = new EventLoop();
    loop.watch(fd.number, EPOLLIN, () => {
      throw new Error("broken");
    });
    expect(() => loop.run()).toThrow("broken");
    loop.close();
  });
});
