/** Tests of system calls through the addon and through ffi-rs: this file is run with each. */
import { missing } from "@cm4all/testing";
import { expect, it } from "vitest";
import * as linux from "../src/index.ts";

it.skipIf(missing("gcc") !== undefined)("calls use ffi-rs if told to, or else the addon", () => {
  const isWithoutAddon = process.env["CM4ALL_WITHOUT_ADDON"] === "1";
  expect(linux.callEngine).toBe(isWithoutAddon ? "ffi-rs" : "addon");
});

it("calls report events, with tokens of more than 32 bits", () => {
  const [reader, writer] = linux.pipe(linux.O_NONBLOCK);
  using epoll = new linux.Epoll();
  epoll.add(reader.number, linux.EPOLLIN, 2 ** 40);
  const tokens: number[] = [];
  const look = () => epoll.wait(0, (token) => tokens.push(token));
  expect(look()).toBe(0);
  linux.signalEventfd(writer.number);
  expect(look()).toBe(1);
  expect(tokens).toEqual([2 ** 40]);
  for (const fd of [reader, writer]) fd.close();
  expect(look()).toBe(0);
});

it("calls send and receive without an address", () => {
  const [left, right] = linux.socketpair(linux.SOCK_SEQPACKET, linux.SOCK_NONBLOCK);
  const buffer = new linux.MessageBuffer(64, 64);
  expect(buffer.receive(left.number)).toBeUndefined();
  expect(linux.send(right.number, Buffer.from("abc"))).toBe(3);
  expect(buffer.receive(left.number)?.data.toString()).toBe("abc");
  for (const fd of [left, right]) fd.close();
});

it("calls throw the kernel's errno", () => {
  using epoll = new linux.Epoll();
  expect(() => epoll.add(99_999, linux.EPOLLIN, 1)).toThrow("EBADF");
  expect(() => linux.unshare(-1)).toThrow("EINVAL");
  expect(() => linux.mount({ target: "/nonexistent", type: "tmpfs" })).toThrow(/ENOENT|EPERM/);
});

it("calls poll a pipe without waiting, and report a hang-up even if data is unread", () => {
  const [reader, writer] = linux.pipe(linux.O_NONBLOCK);
  expect(linux.pollNow(reader.number, linux.POLLIN)).toBe(0);
  linux.signalEventfd(writer.number);
  expect(linux.pollNow(reader.number, linux.POLLIN)).toBe(linux.POLLIN);
  writer.close();
  expect(linux.pollNow(reader.number, 0)).toBe(linux.POLLHUP);
  reader.close();
});
