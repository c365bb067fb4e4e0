import { once } from "node:events";
import { rmSync } from "node:fs";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { missing } from "@cm4all/testing";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
} from "vitest";
import { STRANGERS } from "../src/namespaces/requests/stranger-budget.ts";
import { request } from "./support/client.ts";
import { TestDaemon, until } from "./support/daemon.ts";
import { as, Peer, STRANGER } from "./support/peer.ts";

const REQUEST = request("somebody", { ipc: true });
const NOTHING = new Uint8Array();
const GRANTED = ["handles", "closed"];
const REFUSED = [
  "permission denied: a client must be root, have CAP_SYS_ADMIN, or be allowed by the configuration",
  "closed",
];

describe.skipIf(missing("root", "catatonit", "gcc") !== undefined)("permission", () => {
  let peer: Peer;
  beforeAll(() => {
    peer = new Peer();
  });
  afterAll(() => peer[Symbol.dispose]());

  /**
   * Lets two peers, one after the other, send a socket that takes a long time to close. Each closes
   * its own descriptor, so that only the message refers to the socket. The first peer ends, and the
   * second stays.
   * @returns a function that returns what the second peer has printed so far
   */
  async function sendLingering(daemon: TestDaemon, before: readonly string[]) {
    const taken = new Set<Socket>();
    // The other end of each socket stays open: otherwise the socket would not take long to close.
    const sink = createServer({ pauseOnConnect: true }, (socket) => taken.add(socket));
    sink.listen(0, "127.0.0.1");
    await once(sink, "listening");
    onTestFinished(async () => {
      await peer.endAll();
      for (const socket of taken) socket.destroy();
      sink.close();
    });
    const { port } = sink.address() as AddressInfo;
    const send = () => peer.start(before, daemon.address, REQUEST, ["--linger", String(port)]);
    return await daemon.whilePaused(async () => {
      await send();
      await peer.endAll();
      return await send();
    });
  }

  describe("by default", () => {
    let daemon: TestDaemon;
    beforeEach(async () => {
      daemon = await TestDaemon.start();
    });
    afterEach(async () => {
      await peer.endAll();
      await daemon.stop();
    });

    const ask = (before: readonly string[], options?: readonly string[]) =>
      peer.run(before, daemon.address, REQUEST, options);

    it("is given to root, even without capabilities", () => {
      expect(ask([])).toEqual(GRANTED);
      expect(ask(["setpriv", "--bounding-set=-all"])).toEqual(GRANTED);
    });

    it("is given to another uid with CAP_SYS_ADMIN alone", () => {
      expect(ask(as({ capabilities: ["sys_admin"] }))).toEqual(GRANTED);
      const others = ["sys_ptrace", "setuid", "dac_override", "net_admin"];
      expect(ask(as({ capabilities: others }))).toEqual(REFUSED);
      expect(ask(as({}))).toEqual(REFUSED);
    });

    it("is not given to the root of a user namespace", () => {
      for (const maps of [["--map-root-user"], ["--map-current-user", "--keep-caps"]])
        expect(ask([...as({}), "unshare", "--user", ...maps])).toEqual(REFUSED);
    });

    it.each([
      ["enters a user namespace", () => "-"],
      ["executes a set-uid program", () => peer.setUidProgram()],
    ])("is not given to a process that %s while it is checked", (_, program) => {
      expect(ask(as({}), ["--race", program()])).toEqual([REFUSED[0]]);
    });

    it("is not given to a process that executes a set-uid program once connected", () => {
      expect(ask(as({}), ["--exec", peer.setUidProgram()])).toEqual(REFUSED);
      // That process was refused for its uids, not because it had executed a program.
      const nobody = as({ capabilities: ["sys_admin"] });
      expect(ask(nobody, ["--exec", "/proc/self/exe"])).toEqual(GRANTED);
    });

    it("is not given for the capability of a process that is gone", () => {
      expect(ask(as({ capabilities: ["sys_admin"] }), ["--orphan"])).toEqual(REFUSED);
      expect(ask([], ["--orphan"])).toEqual(GRANTED);
    });

    describe("once it has been given", () => {
      const askAgain = (action: string) =>
        ask(as({ capabilities: ["sys_admin"] }), ["--again", action]);

      it.each([
        ["given again to the same process", "nothing", GRANTED],
        ["no longer given to a process that has dropped its capabilities", "drop", REFUSED],
        ["no longer given to a process that has entered a user namespace", "namespace", REFUSED],
        [
          "no longer given to a process that has executed a program without capabilities",
          "exec",
          REFUSED,
        ],
        ["not given over the connection of a process that is gone", "orphan", REFUSED],
      ])("is %s", (_, action, second) => {
        expect(askAgain(action)).toEqual(["handles", ...second]);
      });

      it("does not extend to another process with the same pid", () => {
        const answers = ask([], ["--again", `reuse@${STRANGER}`]);
        expect(answers).toEqual(["handles", ...REFUSED, "handles"]);
      });

      it("does not extend to an earlier connection of another process with the same pid", () => {
        const answers = ask([], ["--again", `stale@${STRANGER}`]);
        expect(answers).toEqual(["handles", ...REFUSED]);
      });

      it("lasts for a second in a set-uid program that the process executes, and not longer", async () => {
        const program = peer.setUidProgram();
        expect(askAgain(`${program}@1100`)).toEqual(["handles", ...REFUSED]);
        // On a busy machine, the second may already be over.
        await until(() => askAgain(program)[1] === "handles", "it is quick enough");
      });
    });

    it("is refused with one line in the log for each process", async () => {
      for (let i = 0; i < 3; i++) ask(as({}));
      const lines = () => daemon.log.match(/refused pid \d+, uid \d+: .*/g) ?? [];
      await until(() => lines().length === 3, "all are logged");
      for (const line of lines()) expect(line).toContain(`uid ${STRANGER}: ${REFUSED[0]}`);
      expect((await daemon.status()).requests.refused).toBe(3);
      // One process that connects 50 times.
      await peer.start(as({}), daemon.address, REQUEST, ["--hold", "50"]);
      await until(async () => (await daemon.status()).requests.refused === 53, "all are refused");
      expect(lines().length).toBe(4);
    });

    it("is not delayed when a stranger sends a descriptor that takes a long time to close", async () => {
      const before = await daemon.restingDescriptorCount();
      const children = daemon.childPids().length;
      const answers = await sendLingering(daemon, as({}));
      // The socket takes longer to close than this client waits.
      using client = daemon.connect();
      client.inodes("somebody", { ipc: true });
      client[Symbol.dispose]();
      await until(() => answers().length === 3, "the sender is answered");
      expect(answers()).toEqual(["sent", ...REFUSED]);
      await until(() => daemon.childPids().length === children, "the child that closes is reaped");
      await until(() => daemon.descriptorCount() === before + 1, "all is closed");
    });

    it("is given to root while crowds of others connect", async () => {
      const hold = (uid: number) =>
        peer.start(as({ uid }), daemon.address, NOTHING, ["--hold", "2100"]);
      await Promise.all(Array.from({ length: 3 }, (_, i) => hold(STRANGER + i)));
      // At most 2,048 connections of each uid are kept, and 4,096 in total.
      await until(async () => (await daemon.status()).connections === 4096, "the crowd is there");
      for (let i = 0; i < 2; i++) await peer.start(as({}), daemon.address, REQUEST, ["--flood"]);
      const startMs = performance.now();
      // Each client waits behind the strangers that are in the listener's queue.
      for (let i = 0; i < 5; i++) {
        expect(ask([])).toEqual(GRANTED);
        expect(ask(as({ capabilities: ["sys_admin"] }))).toEqual(GRANTED);
      }
      console.log(`10 clients in a crowd: ${Math.round(performance.now() - startMs)} ms`);
      expect((await daemon.status()).connections).toBeLessThanOrEqual(4096);
    });

    it("is given to spawners immediately, even while strangers flood the daemon", async () => {
      const request = () => ask(as({ capabilities: ["sys_admin"] }));
      const refused = async () => (await daemon.status()).requests.refused;
      const before = await refused();
      const startMs = performance.now();
      for (let i = 0; i < 2; i++) await peer.start(as({}), daemon.address, REQUEST, ["--flood"]);
      // The strangers' connections end faster than the daemon can check them.
      for (let i = 0; i < 10; i++) expect(request()).toEqual(GRANTED);
      await sleep(1500);
      await peer.endAll();
      const seconds = Math.ceil((performance.now() - startMs) / 1000);
      expect((await refused()) - before).toBeLessThanOrEqual(STRANGERS * (seconds + 1));
      // In a flood, a stranger may be disconnected without a check before it has sent anything.
      const answer = () => {
        try {
          return ask(as({}))[0];
        } catch {
          return "closed";
        }
      };
      await until(() => answer() === REFUSED[0], "strangers are answered again");
      expect(request()).toEqual(GRANTED);
    });

    it("exempts capable clients from the limit on strangers with the same uid", async () => {
      const privileged = as({ capabilities: ["sys_admin"] });
      await peer.start(privileged, daemon.address, NOTHING, ["--hold", "1000"]);
      await until(async () => (await daemon.status()).connections === 1000, "all are there");
      await peer.start(as({}), daemon.address, NOTHING, ["--hold", "2200"]);
      // The oldest connections have sent no request, but were not closed to make room: they were
      // checked when room was needed, and found capable.
      const all = 1000 + 2048;
      await until(async () => (await daemon.status()).connections === all, "the crowd is there");
      expect(ask(privileged)).toEqual(GRANTED);
    });
  });

  describe("by configuration", () => {
    let daemon: TestDaemon;
    beforeAll(async () => {
      daemon = await TestDaemon.start({
        config: '[namespaces]\nallow_uids = [1001, "daemon"]\nallow_gids = [2001, 2002, "adm"]\n',
      });
    });
    afterAll(() => daemon.stop());

    it.each([
      ["a uid", { uid: 1001 }, GRANTED],
      ["a gid", { gid: 2001 }, GRANTED],
      ["a supplementary group", { groups: [3, 2002] }, GRANTED],
      // Debian gives `daemon` and `adm` these ids.
      ["a uid by its name", { uid: 1 }, GRANTED],
      ["a gid by its name", { groups: [4] }, GRANTED],
      [
        "nobody whose uid is allowed only as a gid, and whose gid only as a uid",
        { uid: 4, gid: 1 },
        REFUSED,
      ],
      ["nobody else", { uid: 2001, gid: 1001, groups: [1001] }, REFUSED],
      [
        "nobody who has more groups than can be checked",
        { groups: Array.from({ length: 2000 }, (_, i) => 100_000 + i) },
        REFUSED,
      ],
    ])("is given to %s", (_, credentials, expected) => {
      expect(peer.run(as(credentials), daemon.address, REQUEST)).toEqual(expected);
    });
  });

  it("is not delayed when an allowed uid sends a descriptor that takes a long time to close", async () => {
    const daemon = await TestDaemon.start({ config: "[namespaces]\nallow_uids = [1001]\n" });
    const entitled = as({ uid: 1001 });
    const before = await daemon.restingDescriptorCount();
    const answers = await sendLingering(daemon, entitled);
    using client = daemon.connect();
    client.inodes("somebody", { ipc: true });
    await until(() => answers().length === 3, "the sender is answered");
    expect(answers()).toEqual(["sent", "descriptors are not accepted", "closed"]);
    expect(peer.run(entitled, daemon.address, REQUEST)).toEqual(GRANTED);
    await until(() => daemon.childPids().length === 0, "the child that closes is reaped");
    client[Symbol.dispose]();
    await until(() => daemon.descriptorCount() <= before + 2, "all is closed");
    await daemon.stop();
  });

  it("is given only to root if the client is outside the daemon's PID namespace", async () => {
    const daemon = await TestDaemon.start({
      wrapper: ["unshare", "--pid", "--fork", "--mount-proc"],
    });
    const privileged = as({ capabilities: ["sys_admin"] });
    expect(peer.run(privileged, daemon.address, REQUEST)).toEqual(REFUSED);
    expect(peer.run([], daemon.address, REQUEST)).toEqual(GRANTED);
    const ended = once(daemon.child, "exit");
    for (const pid of daemon.childPids()) process.kill(pid, "SIGTERM");
    expect(await ended).toEqual([0, null]);
    rmSync(daemon.directory, { recursive: true });
  });
});
