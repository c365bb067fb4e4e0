import { spawn } from "node:child_process";
import { closeSync, fstatSync, readSync, writeSync } from "node:fs";
import { describe, expect, it } from "vitest";
import * as linux from "../src/index.ts";

const uniqueName = () => `@cm4all-linux-test-${process.pid}-${Math.random()}`;

function seqpacketPair(): { client: linux.Fd; server: linux.Fd } {
  const name = uniqueName();
  using listener = linux.socket(linux.AF_UNIX, linux.SOCK_SEQPACKET, 0, linux.SOCK_NONBLOCK);
  linux.bindUnix(listener.number, name);
  linux.listen(listener.number, 8);
  expect(linux.accept(listener.number)).toBeUndefined();
  const client = linux.socket(linux.AF_UNIX, linux.SOCK_SEQPACKET);
  linux.connectUnix(client.number, name);
  const server = linux.accept(listener.number, linux.SOCK_NONBLOCK);
  if (server === undefined) throw new Error("no connection");
  return { client, server };
}

describe("AF_UNIX seqpacket sockets", () => {
  it("carry messages and descriptors", () => {
    const { client, server } = seqpacketPair();
    const [readEnd, writeEnd] = linux.pipe();
    const buffer = new linux.MessageBuffer(1024, 256);
    expect(buffer.receive(server.number)).toBeUndefined();
    const control = linux.encodeRights([writeEnd.number]);
    expect(buffer.send(client.number, Buffer.from("hello"), control)).toBe(5);
    const message = buffer.receive(server.number);
    expect(message?.data.toString()).toBe("hello");
    const [received] = message?.fds ?? [];
    if (received === undefined) throw new Error("no descriptor came");
    expect(received).not.toBe(writeEnd.number);
    expect(fstatSync(received).ino).toBe(fstatSync(writeEnd.number).ino);
    closeSync(received);
    for (const fd of [client, server, readEnd, writeEnd]) fd.close();
  });

  it("show what comes next, without taking it", () => {
    const { client, server } = seqpacketPair();
    linux.setIntOption(server.number, linux.SOL_SOCKET, linux.SO_PASSCRED, 1);
    const probe = new linux.MessageProbe();
    const [readEnd, writeEnd] = linux.pipe();
    const buffer = new linux.MessageBuffer(1024, 2048);
    const send = (text: string, fds: number[]) =>
      buffer.send(client.number, Buffer.from(text), linux.encodeRights(fds));
    const next = () => {
      const kinds = [probe.look(server.number), probe.look(server.number)];
      expect(kinds[0]).toBe(kinds[1]);
      return kinds[0];
    };
    expect(next()).toBe("nothing");
    send("x", []);
    send("", []);
    send("", [writeEnd.number]);
    send("a longer text", new Array(250).fill(writeEnd.number));
    const taken: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      taken.push(next());
      readSync(server.number, Buffer.alloc(100));
    }
    expect(taken).toEqual(["message", "message", "descriptors", "descriptors"]);
    expect(next()).toBe("nothing");
    send("last", []);
    // The client does not read this, so the end of its connection is first reported as ECONNRESET.
    buffer.send(server.number, Buffer.from("answer"), Buffer.alloc(0));
    client.close();
    expect(next()).toBe("message");
    readSync(server.number, Buffer.alloc(100));
    expect(next()).toBe("end");
    writeEnd.close();
    // Looking at the messages has left no descriptor open.
    expect(readSync(readEnd.number, Buffer.alloc(1))).toBe(0);
    for (const fd of [server, readEnd]) fd.close();
  });

  it("drop descriptors that are read without a control buffer", () => {
    const { client, server } = seqpacketPair();
    const [readEnd, writeEnd] = linux.pipe();
    const control = linux.encodeRights([writeEnd.number]);
    new linux.MessageBuffer(16, 256).send(client.number, Buffer.from("x"), control);
    writeEnd.close();
    expect(readSync(server.number, Buffer.alloc(16))).toBe(1);
    // If the descriptor were still open anywhere, this would wait for ever.
    expect(readSync(readEnd.number, Buffer.alloc(1))).toBe(0);
    for (const fd of [client, server, readEnd]) fd.close();
  });

  it("go on waiting if a signal interrupts a call with a timeout", () => {
    const { client, server } = seqpacketPair();
    const buffer = new linux.MessageBuffer(1024, 64);
    const send = () => buffer.send(client.number, Buffer.alloc(1024), Buffer.alloc(0));
    linux.setTimeoutOption(client.number, linux.SO_SNDTIMEO, 1);
    while (send() !== undefined);
    linux.setTimeoutOption(client.number, linux.SO_SNDTIMEO, 400);
    const ignore = () => {};
    process.on("SIGUSR2", ignore);
    spawn("sh", ["-c", `sleep 0.1; kill -s USR2 ${process.pid}`], { stdio: "ignore" });
    const startMs = performance.now();
    expect(send()).toBeUndefined();
    expect(performance.now() - startMs).toBeGreaterThan(390);
    process.off("SIGUSR2", ignore);
    client.close();
    server.close();
  });

  it("report who connected", () => {
    const { client, server } = seqpacketPair();
    expect(linux.peerCredentials(server.number)).toEqual({
      pid: process.pid,
      uid: process.getuid?.(),
      gid: process.getgid?.(),
    });
    client.close();
    server.close();
  });

  it("refuse a name that is taken", () => {
    const name = uniqueName();
    using first = linux.socket(linux.AF_UNIX, linux.SOCK_SEQPACKET);
    using second = linux.socket(linux.AF_UNIX, linux.SOCK_SEQPACKET);
    linux.bindUnix(first.number, name);
    expect(() => linux.bindUnix(second.number, name)).toThrow("EADDRINUSE");
  });
});

describe("Fd", () => {
  it("closes once, and not after release", () => {
    const [readEnd, writeEnd] = linux.pipe();
    const number = readEnd.release();
    readEnd.close();
    expect(fstatSync(number).isFIFO()).toBe(true);
    closeSync(number);
    writeEnd.close();
    writeEnd.close();
    expect(() => writeEnd.number).toThrow("closed");
  });
});

describe("Epoll", () => {
  it("reports readiness, hang-ups and wake-ups", () => {
    using epoll = new linux.Epoll();
    using wake = linux.eventfd();
    const [readEnd, writeEnd] = linux.pipe(linux.O_NONBLOCK);
    epoll.add(wake.number, linux.EPOLLIN, 1);
    epoll.add(readEnd.number, 0, 2 ** 40);
    const events: [number, number][] = [];
    const wait = () => epoll.wait(0, (token, mask) => events.push([token, mask]));
    // Data does not count for a descriptor that is watched only for hang-ups.
    writeSync(writeEnd.number, "x");
    expect(wait()).toBe(0);
    linux.signalEventfd(wake.number);
    expect(wait()).toBe(1);
    linux.drainEventfd(wake.number);
    linux.drainEventfd(wake.number);
    expect(wait()).toBe(0);
    writeEnd.close();
    expect(wait()).toBe(1);
    expect(events).toEqual([
      [1, linux.EPOLLIN],
      [2 ** 40, linux.EPOLLHUP],
    ]);
    readEnd.close();
    expect(wait()).toBe(0);
  });
});

describe("a closing child", () => {
  it("closes the descriptors that it is given", async () => {
    const [reader, writer] = linux.pipe(linux.O_NONBLOCK);
    const child = new linux.ClosingChild();
    expect(child.close([writer])).toBe(true);
    expect(writer.isOpen).toBe(false);
    for (let i = 0; !child.tryReap(); i++) {
      if (i === 1000) throw new Error("the child does not end");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(readSync(reader.number, Buffer.alloc(1))).toBe(0);
    reader.close();
  });
});
