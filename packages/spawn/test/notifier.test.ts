/** Tests notifications with a real socket, which takes the place of the service manager. */
import { closeSync } from "node:fs";
import {
  AF_UNIX,
  bindUnix,
  type Fd,
  MessageBuffer,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  socket,
} from "@cm4all/linux";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Notifier } from "../src/systemd/notify.ts";
import { uniqueAddress, until } from "./support/daemon.ts";

let manager: Fd;
let notifier: Notifier;
const buffer = new MessageBuffer(4096, 64);

beforeEach(() => {
  const address = uniqueAddress();
  manager = socket(AF_UNIX, SOCK_DGRAM, 0, SOCK_NONBLOCK);
  bindUnix(manager.number, address);
  const opened = Notifier.open(address);
  if (opened === undefined) throw new Error("no notifier, although there is a manager");
  notifier = opened;
});

afterEach(() => {
  notifier.close();
  manager.close();
});

/** Receives the barrier's descriptor, which the caller closes. */
async function receiveBarrier(): Promise<number> {
  let fd: number | undefined;
  await until(() => {
    const message = buffer.receive(manager.number);
    if (message !== undefined) expect(message.data.toString()).toBe("BARRIER=1");
    fd = message?.fds[0];
    return fd !== undefined;
  }, "the barrier comes");
  if (fd === undefined) throw new Error("the barrier came without a descriptor");
  return fd;
}

it("a barrier is passed when the manager has closed the barrier's descriptor, and not before", async () => {
  let isPassed: boolean | undefined;
  const passed = notifier.barrier(60_000).then((result) => {
    isPassed = result;
  });
  const fd = await receiveBarrier();
  // Long enough for several checks of the descriptor.
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(isPassed).toBeUndefined();
  closeSync(fd);
  await passed;
  expect(isPassed).toBe(true);
});

it("a barrier that the manager does not handle in time is given up", async () => {
  const passed = notifier.barrier(50);
  const fd = await receiveBarrier();
  expect(await passed).toBe(false);
  closeSync(fd);
});

it("a barrier that does not fit into the manager's queue is given up", async () => {
  while (notifier.trySend(["STATUS=busy"]));
  expect(await notifier.barrier(50)).toBe(false);
});
