import { describe, expect, it } from "vitest";
import { ClientPool } from "./client-pool.ts";
import type { Peer } from "./permission.ts";

function client(uid: number): { readonly peer: Peer } {
  return {
    peer: { credentials: { pid: 1, uid, gid: 0 }, socketFd: 0, listenerFd: 0, acceptedMs: 0 },
  };
}

describe("a pool of clients", () => {
  it("counts by uid, and finds the oldest", () => {
    const pool = new ClientPool();
    const [a, b, c] = [client(1), client(2), client(2)];
    for (const one of [a, b, c]) pool.add(one);
    expect([pool.size, pool.countOf(1), pool.countOf(2), pool.countOf(3)]).toEqual([3, 1, 2, 0]);
    expect(pool.oldest()).toBe(a);
    expect(pool.oldest(2)).toBe(b);
    expect(pool.oldest(3)).toBeUndefined();
    expect([pool.delete(b), pool.delete(b)]).toEqual([true, false]);
    expect(pool.oldest(2)).toBe(c);
    expect([pool.size, pool.countOf(2)]).toEqual([2, 1]);
    pool.delete(c);
    pool.delete(client(1));
    expect([pool.size, pool.countOf(1), pool.countOf(2)]).toEqual([1, 1, 0]);
  });

  it("iterates over clients in order, and counts those of the uid that has the most", () => {
    const pool = new ClientPool();
    expect(pool.mostOfOneUid).toBe(0);
    const clients = [client(1), client(2), client(2), client(3)];
    for (const one of clients) pool.add(one);
    expect([...pool]).toEqual(clients);
    expect(pool.mostOfOneUid).toBe(2);
    for (const one of clients.slice(1, 3)) pool.delete(one);
    expect(pool.mostOfOneUid).toBe(1);
  });
});
