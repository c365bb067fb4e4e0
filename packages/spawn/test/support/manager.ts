/**
 * Simulates the service manager with systemd's limits: a notify socket with a short queue, and a
 * descriptor store whose contents are passed to the daemon at its next start.
 */
import { closeSync } from "node:fs";
import {
  AF_UNIX,
  bindUnix,
  connectUnix,
  type Fd,
  listen,
  MessageBuffer,
  SO_PASSCRED,
  SOCK_DGRAM,
  SOCK_NONBLOCK,
  SOCK_SEQPACKET,
  SOL_SOCKET,
  setIntOption,
  socket,
} from "@cm4all/linux";
import { missing, ScratchCgroup } from "@cm4all/testing";
import { type DaemonOptions, TestDaemon, uniqueAddress, until } from "./daemon.ts";

/** FileDescriptorStoreMax= of the daemon's unit. */
const STORE_MAX = 16;

/** execve(2) refuses a longer environment string. */
const MAX_LISTEN_FDNAMES_BYTES = 131_072;

export class FakeManager {
  readonly address = uniqueAddress();
  readonly #notifyAddress = `${this.address}-notify`;
  readonly #notify: Fd;
  readonly #listener: Fd;
  readonly #buffer = new MessageBuffer(8192, 2048);
  readonly store: { fd: number; name: string }[] = [];
  /** All received lines, in order. */
  readonly lines: string[] = [];
  readonly #timer: NodeJS.Timeout;
  /**
   * The daemon's cgroup. As in a real service, it has no processes but the daemon's: with a service
   * manager, the daemon takes unknown inits in its cgroup for its own, and ends idle ones.
   */
  readonly #cgroup = missing("cgroup2") === undefined ? new ScratchCgroup() : undefined;
  /** While true, the manager receives nothing from the notify socket. */
  isStalled = false;

  constructor() {
    this.#notify = socket(AF_UNIX, SOCK_DGRAM, 0, SOCK_NONBLOCK);
    setIntOption(this.#notify.number, SOL_SOCKET, SO_PASSCRED, 1);
    bindUnix(this.#notify.number, this.#notifyAddress);
    // systemd passes blocking sockets, unless the unit has NonBlocking=yes.
    this.#listener = socket(AF_UNIX, SOCK_SEQPACKET);
    setIntOption(this.#listener.number, SOL_SOCKET, SO_PASSCRED, 1);
    bindUnix(this.#listener.number, this.address);
    listen(this.#listener.number, 4096);
    this.#timer = setInterval(() => this.#receive(), 2);
  }

  #receive(): void {
    while (!this.isStalled) {
      const message = this.#buffer.receive(this.#notify.number);
      if (message === undefined) return;
      const lines = message.data.toString().split("\n");
      this.lines.push(...lines);
      this.#handle(lines, message.fds);
    }
  }

  #handle(lines: readonly string[], fds: readonly number[]): void {
    const name = lines.find((line) => line.startsWith("FDNAME="))?.slice(7) ?? "stored";
    if (lines.includes("FDSTOREREMOVE=1")) {
      for (const entry of this.store.splice(0))
        if (entry.name === name) closeSync(entry.fd);
        else this.store.push(entry);
    }
    for (const fd of fds)
      if (lines.includes("FDSTORE=1") && this.store.length < STORE_MAX)
        this.store.push({ fd, name });
      else closeSync(fd);
  }

  /** Receives nothing more, and fills the queue of the notify socket. */
  stall(): void {
    this.isStalled = true;
    using sender = socket(AF_UNIX, SOCK_DGRAM, 0, SOCK_NONBLOCK);
    connectUnix(sender.number, this.#notifyAddress);
    const filler = Buffer.from("X_FILLER=1");
    while (this.#buffer.send(sender.number, filler, new Uint8Array()) !== undefined);
  }

  /** Starts the daemon with the listener and all stored descriptors. */
  spawn(options: Omit<DaemonOptions, "passed" | "address"> = {}): TestDaemon {
    const names = this.store.map(({ name }) => name).join(":");
    if (names.length > MAX_LISTEN_FDNAMES_BYTES) throw new Error("E2BIG: LISTEN_FDNAMES");
    return new TestDaemon({
      ...(this.#cgroup === undefined ? {} : { cgroupProcs: `${this.#cgroup.path}/cgroup.procs` }),
      ...options,
      address: this.address,
      passed: [{ fd: this.#listener.number, name: "cm4all-spawn.socket" }, ...this.store],
      env: { ...options.env, NOTIFY_SOCKET: this.#notifyAddress },
    });
  }

  /** Starts the daemon like `spawn`, and waits for READY=1. */
  async start(options: Omit<DaemonOptions, "passed" | "address"> = {}): Promise<TestDaemon> {
    const readyBefore = this.#readyCount();
    const daemon = this.spawn(options);
    await until(() => {
      if (daemon.child.exitCode !== null) throw new Error(`the daemon ended:\n${daemon.log}`);
      return this.#readyCount() > readyBefore;
    }, "READY=1 comes");
    return daemon;
  }

  #readyCount(): number {
    return this.lines.filter((line) => line === "READY=1").length;
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#receive();
    for (const { fd } of this.store) closeSync(fd);
    this.#notify.close();
    this.#listener.close();
    await this.#cgroup?.remove();
  }
}
