/**
 * Starts the daemon with a damaged store: what is intact is used, what is damaged is left alone and
 * logged, and surplus files do no harm.
 */
import {
  copyFileSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { MNT_DETACH, MS_BIND, mkfifo, mount, umount } from "@cm4all/linux";
import { isAlive, missing } from "@cm4all/testing";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { storeThread, type TestDaemon, until } from "./support/daemon.ts";
import { FakeManager } from "./support/manager.ts";
import { insideMountNamespace } from "./support/store.ts";

const ALL = { ipc: true, pid: true, user: { uidMap: "0 1000 1" } };

function replaceByFifo(path: string): void {
  unlinkSync(path);
  mkfifo(path, 0o600);
}

/**
 * Ways to damage the store, in which /names/1 and /names/2 belong to the names `one` and `two`. The
 * directory of a name contains the files `name` and `uid`, and for each user namespace N the file
 * `user-N.maps`, the payload of the request for it.
 */
const DAMAGES: Record<string, { readonly damage: () => void; readonly line: RegExp }> = {
  "a user namespace without its payload": {
    damage: () => unlinkSync("/names/1/user-0.maps"),
    line: /\/names\/1\/user-0: ENOENT/,
  },
  "a name's directory with subdirectories, but without a name": {
    damage: () => mkdirSync("/names/77/x/y", { recursive: true }),
    line: /\/names\/77: /,
  },
  "a file among the names": {
    damage: () => writeFileSync("/names/78", "x"),
    line: /\/names\/78: ENOTDIR/,
  },
  "a directory whose name is not a number": {
    damage: () => mkdirSync("/names/abc"),
    line: /\/names\/abc: not a number/,
  },
  "a name that is a directory": {
    damage: () => mkdirSync("/names/79/name", { recursive: true }),
    line: /\/names\/79: .*\/name: it is not a regular file/,
  },
  "a name that is a FIFO": {
    damage: () => {
      mkdirSync("/names/79");
      mkfifo("/names/79/name", 0o600);
    },
    line: /\/names\/79: .*\/name: it is not a regular file/,
  },
  "a uid that is a FIFO": {
    damage: () => replaceByFifo("/names/1/uid"),
    line: /\/names\/1\/uid: .*it is not a regular file/,
  },
  "a payload that is a FIFO": {
    damage: () => replaceByFifo("/names/1/user-0.maps"),
    line: /\/names\/1\/user-0: .*it is not a regular file/,
  },
  "a lease that is no pipe": {
    damage: () => mkdirSync("/names/1/lease"),
    line: /left alone .*: \/names\/1: epoll_ctl\(.*EPERM/,
  },
  "a name that occurs twice": {
    damage: () => {
      mkdirSync("/names/80");
      writeFileSync("/names/80/name", "one");
    },
    line: /one occurs twice/,
  },
  "a directory beside the namespaces of a name": {
    damage: () => mkdirSync("/names/1/rubbish"),
    line: /restored 2 names/,
  },
  "links to nothing and to a mount point beside the namespaces of a name": {
    damage: () => {
      symlinkSync("/nowhere", "/names/1/nothing");
      symlinkSync("/proc", "/names/1/proc");
      symlinkSync("/proc", "/names/1/user-7");
    },
    line: /restored 2 names/,
  },
  "no directory of names": {
    damage: () => {
      // Mount points cannot be removed: they are unmounted first.
      for (const file of readdirSync("/names", { recursive: true, encoding: "utf8" }))
        if (/\/(?:ipc|pid|user-\d+)$/.test(file)) umount(`/names/${file}`, MNT_DETACH);
      rmSync("/names", { recursive: true });
    },
    line: /starting with an empty store: .*holds "nothing"/,
  },
};

/** Ways to damage the name `two` so that all of it is left alone. */
const USELESS: Record<string, () => void> = {
  "a lease that is no pipe": () => mkdirSync("/names/2/lease"),
  "a name that occurs twice": () => writeFileSync("/names/2/name", "one"),
  "a name that is a FIFO": () => replaceByFifo("/names/2/name"),
  "a directory in place of a name": () => {
    unlinkSync("/names/2/name");
    mkdirSync("/names/2/name");
  },
  "a subdirectory, but no name": () => {
    unlinkSync("/names/2/name");
    mkdirSync("/names/2/x");
  },
};

describe.skipIf(missing("root", "catatonit") !== undefined)("a store that has", () => {
  let manager: FakeManager;
  let daemon: TestDaemon;
  beforeEach(async () => {
    manager = new FakeManager();
    daemon = await manager.start({ config: "[namespaces]\nexpire_seconds = 3600\n" });
  });
  afterEach(async () => {
    await daemon.stop();
    await manager.close();
  });

  /** Kills the daemon, changes its store, and starts it again. */
  async function restartAfter(damage: () => void): Promise<void> {
    await daemon.end("SIGKILL");
    // The store is reached through the descriptor that the service manager keeps.
    const keeper = manager.store[0];
    if (keeper === undefined) throw new Error("nothing was stored");
    insideMountNamespace(keeper.fd, damage);
    daemon = await manager.start({ config: "[namespaces]\nexpire_seconds = 3600\n" });
  }

  it.each(Object.keys(DAMAGES))("%s does not keep the daemon from starting", async (title) => {
    const { damage, line } = DAMAGES[title] ?? { damage: () => {}, line: /never/ };
    const before = daemon.connect();
    const inodes = ["one", "two"].map((name) => before.inodes(name, ALL));
    before[Symbol.dispose]();
    await restartAfter(damage);
    await until(() => line.test(daemon.log), `the log has ${line}`);
    expect(daemon.log).not.toContain("crashed");
    using client = daemon.connect();
    for (const name of ["one", "two", "three"]) client.inodes(name, ALL);
    if (title !== "no directory of names") expect(client.inodes("two", ALL)).toEqual(inodes[1]);
    // All names can also be ended.
    const names = (await daemon.status()).names;
    expect(await daemon.control({ command: "purge-namespaces", onlyIdle: false })).toEqual({
      ended: names,
      left: 0,
    });
    client.inodes("again", ALL);
    expect(readdirSync(`${storeThread(daemon)}/root/names`).length).toBeGreaterThan(0);
  });

  /** Returns the files below a directory of the store, with their inodes. */
  function filesIn(path: string): string[] {
    const directory = `${storeThread(daemon)}/root${path}`;
    return readdirSync(directory).map((file) => `${file} ${statSync(`${directory}/${file}`).ino}`);
  }

  it.each(Object.entries(USELESS))(
    "%s keeps the namespaces and the inits of the damaged name",
    async (_, damage) => {
      const before = daemon.connect();
      for (const name of ["one", "two"]) before.inodes(name, ALL);
      before[Symbol.dispose]();
      const inits = daemon.childPids();
      expect(inits).toHaveLength(2);
      let files: string[] = [];
      await restartAfter(() => {
        damage();
        files = readdirSync("/names/2").map(
          (file) => `${file} ${statSync(`/names/2/${file}`).ino}`,
        );
      });
      expect(daemon.log).toContain("left alone in the store of an earlier run: /names/");
      expect(daemon.log).not.toMatch(/ended an idle init|adopted/);
      using client = daemon.connect();
      for (const name of ["one", "two"]) client.inodes(name, ALL);
      expect(filesIn("/names/2")).toEqual(files);
      expect(inits.filter(isAlive)).toEqual(inits);
    },
  );

  it("nothing usable for a name keeps what there is until the name ends", async () => {
    const before = daemon.connect();
    before.inodes("one", { user: ALL.user });
    before[Symbol.dispose]();
    await restartAfter(() => unlinkSync("/names/1/user-0.maps"));
    await daemon.untilLogged(/left alone .*\/names\/1\/user-0: ENOENT/);
    expect(filesIn("/names").map((file) => file.split(" ")[0])).toEqual(["1"]);
    expect(filesIn("/names/1").join()).toContain("user-0 ");
    await daemon.control({ command: "purge-namespaces", onlyIdle: true });
    expect(filesIn("/names")).toEqual([]);
  });

  it("two namespaces for the same user map gives clients the later one", async () => {
    const before = daemon.connect();
    for (const name of ["one", "two"]) before.inodes(name, ALL);
    const later = before.inodes("two", ALL).user;
    before[Symbol.dispose]();
    await restartAfter(() => {
      copyFileSync("/names/1/user-0.maps", "/names/1/user-1.maps");
      writeFileSync("/names/1/user-1", "");
      mount({ source: "/names/2/user-0", target: "/names/1/user-1", flags: MS_BIND });
    });
    using client = daemon.connect();
    expect(client.inodes("one", ALL).user).toBe(later);
  });
});
