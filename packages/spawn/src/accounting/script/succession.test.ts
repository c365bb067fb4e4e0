/**
 * Tests which script host is in charge, which one follows and which ones end. The script hosts here
 * are fakes, which only note how much time their handlers are given.
 */
import { EventEmitter } from "node:events";
import type { ScriptHost } from "@cm4all/lua";
import { beforeEach, expect, it } from "vitest";
import { Succession } from "./succession.ts";

const HANDLER_TIMEOUT_MS = 5000;
const STATES = ["state", "ready", "unusable", "ended"];

class Host extends EventEmitter {
  readonly options = { handlerTimeoutMs: HANDLER_TIMEOUT_MS };
  /** The time that each call of `stop` gave the handlers. */
  readonly stops: number[] = [];
  /** Lets its handlers end. */
  end: () => void = () => {};

  constructor() {
    super();
    for (const event of [...STATES, "message"]) this.on(event, () => {});
  }

  stop(timeoutMs: number): Promise<void> {
    this.stops.push(timeoutMs);
    if (timeoutMs === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.end = resolve;
    });
  }

  get heardStates(): string[] {
    return STATES.filter((event) => this.listenerCount(event) > 0);
  }
}

const asHost = (host: Host) => host as unknown as ScriptHost;

let succession: Succession;
let hosts: Host[];
const host = (i: number) => {
  const found = hosts[i];
  if (found === undefined) throw new Error(`no host ${i}`);
  return found;
};

beforeEach(() => {
  succession = new Succession();
  hosts = Array.from({ length: 5 }, () => new Host());
});

it("puts only the successor in charge, once it has loaded its script", () => {
  succession.putInCharge(asHost(host(0)));
  succession.prepare(asHost(host(1)));
  expect([succession.inCharge, succession.successor]).toEqual([host(0), host(1)]);
  succession.isLoaded(asHost(host(2)));
  expect([succession.inCharge, succession.successor]).toEqual([host(0), host(1)]);
  succession.isLoaded(asHost(host(1)));
  expect(succession.inCharge).toBe(host(1));
  expect(succession.successor).toBeUndefined();
});

it("gives the handlers of the previous script host time to end, and ignores its state", () => {
  succession.putInCharge(asHost(host(0)));
  expect(host(0).stops).toEqual([]);
  succession.putInCharge(undefined);
  expect(succession.inCharge).toBeUndefined();
  expect(host(0).stops).toEqual([HANDLER_TIMEOUT_MS]);
  expect(host(0).heardStates).toEqual([]);
  expect(host(0).listenerCount("message")).toBe(1);
});

it("ends the oldest retired script host immediately if there would be three", () => {
  for (const i of [0, 1, 2]) succession.putInCharge(asHost(host(i)));
  expect(hosts.slice(0, 2).map(({ stops }) => stops)).toEqual([[5000], [5000]]);
  succession.putInCharge(asHost(host(3)));
  expect(hosts.map(({ stops }) => stops)).toEqual([[5000, 0], [5000], [5000], [], []]);
});

it("ends all retired script hosts but the last two, even if an older one is still ending", () => {
  for (const i of [0, 1, 2, 3, 4]) succession.putInCharge(asHost(host(i)));
  expect(hosts.map(({ stops }) => stops.at(-1))).toEqual([0, 0, 5000, 5000, undefined]);
});

it("does not count script hosts whose handlers have ended", async () => {
  for (const i of [0, 1, 2]) succession.putInCharge(asHost(host(i)));
  host(0).end();
  await new Promise((resolve) => setImmediate(resolve));
  succession.putInCharge(asHost(host(3)));
  expect(host(0).stops).toEqual([5000]);
  expect(host(1).stops).toEqual([5000]);
});

it("immediately ends a successor that is no longer wanted", () => {
  succession.dropSuccessor();
  succession.prepare(asHost(host(1)));
  succession.dropSuccessor();
  expect(succession.successor).toBeUndefined();
  expect(host(1).stops).toEqual([0]);
  expect(host(1).heardStates).toEqual([]);
});

it("ends all script hosts immediately when it is stopped", async () => {
  for (const i of [0, 1]) succession.putInCharge(asHost(host(i)));
  succession.prepare(asHost(host(2)));
  await succession.stop();
  expect(hosts.map(({ stops }) => stops)).toEqual([[5000, 0], [0], [0], [], []]);
});
