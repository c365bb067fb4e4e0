import { readdirSync } from "node:fs";
import {
  AF_UNIX,
  bindUnix,
  connectUnix,
  type Fd,
  isErrno,
  listen,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  send,
  socket,
} from "@cm4all/linux";
import { describe, expect, it, onTestFinished } from "vitest";
import { EventLoop, monotonicMs } from "../../thread/event-loop.ts";
import type { Connection, ConnectionOwner } from "./connection.ts";
import { Listener } from "./listener.ts";
import { makeShared, type Shared } from "./shared.ts";

const ADDRESS = `@cm4all-spawn-listener-test-${process.pid}`;
const STRANGERS = 300;

/** Longer than a turn of the event loop may spend on accepting connections, in milliseconds. */
const LONG_MS = 1;

/**
 * The number of strangers that may be served before a spawner if each of them takes LONG_MS: as
 * many as are accepted in a turn or two.
 */
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

function shared(loop: EventLoop): Shared {
  return makeShared(loop, (error) => expect.unreachable(error.message));
}

const onError = (what: string) => expect.unreachable(what);

interface Queue {
  /** The number of strangers that have connected before the spawner. */
  readonly before: number;
  /** True if connections of strangers are closed when served, not as soon as they are accepted. */
  readonly areLeft: boolean;
  /** Called whenever a stranger has been accepted, with the number accepted so far. */
  readonly each: (count: number) => void;
}

/**
 * Accepts a spawner among strangers, and runs until the spawner's message has arrived.
 * @returns how many strangers were served before the spawner, and the turn in which each
 *   connection was accepted
 */
function serveAmongStrangers(spawner: Fd, { before, areLeft, each }: Queue) {
  const loop = new EventLoop();
  onTestFinished(() => loop.close());
  const turns: number[] = [];
  let strangers = 0;
  let served = 0;
  const ownerOf = (connection: Connection, isStranger: boolean): ConnectionOwner => ({
    isStranger,
    fellSilent: () => {},
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
    shared(loop),
    (connection) => {
      const isStranger = turns.length !== before;
      turns.push(loop.turn);
      if (isStranger) each(++strangers);
      if (!isStranger || areLeft) return ownerOf(connection, isStranger);
      served++;
      connection.closeUnread();
      return "closed";
    },
    onError,
  );
  const fd = open();
  bindUnix(fd.number, ADDRESS);
  listen(fd.number, STRANGERS + 1);
  for (let i = 0; i <= STRANGERS; i++) {
    if (i === before) connectUnix(spawner.number, ADDRESS);
    else send(connect().number, Buffer.from("request"));
  }
  listener.start(fd.number);
  loop.run();
  listener.stop();
  return { served, turns };
}

describe("strangers whose connections are closed as soon as they are accepted", () => {
  it("free their descriptors immediately, without a child process", () => {
    const spawner = open();
    let first = 0;
    let last = 0;
    const each = (count: number) => {
      const descriptors = readdirSync("/proc/self/fd").length;
      if (count === 1) first = descriptors;
      if (count === STRANGERS) {
        last = descriptors;
        send(spawner.number, Buffer.from("request"));
      }
    };
    serveAmongStrangers(spawner, { before: 0, areLeft: false, each });
    expect(last).toBe(first);
  });
});

describe("a stranger that keeps sending", () => {
  /** Sends until the buffer is full ("full") or the peer has closed the connection ("closed"). */
  function fill(fd: number): "full" | "closed" {
    try {
      while (send(fd, Buffer.from("request")) !== undefined);
      return "full";
    } catch (error) {
      if (isErrno(error, "EPIPE", "ECONNRESET")) return "closed";
      throw error;
    }
  }

  it("finds the socket buffer full until its connection is closed", () => {
    const loop = new EventLoop();
    onTestFinished(() => loop.close());
    const stranger = socket(AF_UNIX, SOCK_SEQPACKET, 0, SOCK_NONBLOCK);
    onTestFinished(() => stranger.close());
    const seen: string[] = [];
    const look = () => {
      const state = fill(stranger.number);
      seen.push(state);
      if (state === "closed") loop.stop();
      else loop.after(10, look);
    };
    const listener = new Listener(
      shared(loop),
      (connection) => {
        connection.closeUnread();
        look();
        return "closed";
      },
      onError,
    );
    const fd = open();
    bindUnix(fd.number, ADDRESS);
    listen(fd.number, 1);
    connectUnix(stranger.number, ADDRESS);
    expect(fill(stranger.number)).toBe("full");
    listener.start(fd.number);
    loop.run();
    listener.stop();
    expect(seen).toContain("full");
    expect(seen.at(-1)).toBe("closed");
  });
});

describe("the queue of connections", () => {
  /** More than the queue holds during a flood. */
  const MANY = 400;

  /** Returns how many clients can connect without waiting, at most MANY. */
  function room(): number {
    const fds: Fd[] = [];
    try {
      while (fds.length < MANY) {
        const fd = socket(AF_UNIX, SOCK_SEQPACKET, 0, SOCK_NONBLOCK);
        fds.push(fd);
        connectUnix(fd.number, ADDRESS);
      }
      return MANY;
    } catch (error) {
      if (!isErrno(error, "EAGAIN")) throw error;
      return fds.length - 1;
    } finally {
      for (const fd of fds) fd.close();
    }
  }

  it.each([
    ["were turned away", true],
    ["came without a pause", false],
  ])(
    "is short after strangers %s, and long again after a calm second",
    {
      timeout: 90_000,
    },
    (_, areClosed) => {
      const loop = new EventLoop();
      onTestFinished(() => loop.close());
      const rooms: number[] = [];
      let accepted = 0;
      let isFlooded = areClosed;
      // Each look makes many connections, which is a flood, too; so the pauses between looks grow.
      const lookUntilCalm = (pauseMs: number) => {
        loop.after(pauseMs, () => {
          const now = room();
          if (now < MANY && pauseMs < 20_000) return lookUntilCalm(2 * pauseMs);
          rooms.push(now);
          loop.stop();
        });
      };
      const look = () => {
        rooms.push(room());
        isFlooded = false;
        lookUntilCalm(2500);
      };
      const listener = new Listener(
        shared(loop),
        (connection) => {
          connection.closeUnread();
          if (++accepted === MANY) look();
          return isFlooded ? "closed" : "waits";
        },
        onError,
      );
      const fd = open();
      bindUnix(fd.number, ADDRESS);
      // A short queue, as an earlier daemon leaves it if it ends during a flood.
      listen(fd.number, 1);
      listener.start(fd.number);
      rooms.push(room());
      // If fewer than MANY clients are let in, nothing else ends the loop.
      loop.after(60_000, () => loop.stop());
      loop.run();
      listener.stop();
      // The kernel queues one connection more than the backlog.
      expect(rooms).toEqual([MANY, 257, MANY]);
    },
  );
});

describe("a spawner that makes a request", () => {
  it.each([
    ["are closed when they are served", true],
    ["are closed as soon as they are accepted", false],
  ])("waits for only a few slow strangers, if their connections %s", (_, areLeft) => {
    const spawner = open();
    const asksAfter = 100;
    const each = (count: number) => {
      take(LONG_MS);
      if (count === asksAfter) send(spawner.number, Buffer.from("request"));
    };
    const { served } = serveAmongStrangers(spawner, { before: 0, areLeft, each });
    expect(served).toBeLessThan(asksAfter + FEW);
  });

  it("does not wait a whole turn for each quick stranger before it", () => {
    const spawner = open();
    const each = (count: number) => {
      if (count === STRANGERS) send(spawner.number, Buffer.from("request"));
    };
    const { turns } = serveAmongStrangers(spawner, { before: 0, areLeft: false, each });
    // On a busy machine, some turns accept only one stranger, because that one took long.
    expect(new Set(turns).size).toBeLessThan(STRANGERS / 2);
  });

  it("ends the turn in which it is accepted, because its request is next", () => {
    const before = 10;
    const spawner = open();
    const each = (count: number) => {
      if (count === STRANGERS) send(spawner.number, Buffer.from("request"));
    };
    const { turns } = serveAmongStrangers(spawner, { before, areLeft: false, each });
    expect(turns.slice(before + 1)).not.toContain(turns[before]);
  });
});
