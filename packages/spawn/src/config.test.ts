import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { FindUser } from "./accounting/terms/user.ts";
import { keysForRestart, parseConfig, readConfig } from "./config.ts";

const users = ["cm4all-spawn-reaper", "somebody"].map((name, i) => ({
  name,
  uid: 900 + i,
  gid: 900,
  home: "/nonexistent",
}));
const find: FindUser = (name) => users.find((user) => user.name === name);
const parse = (text: string) => parseConfig(text, "spawn.toml", find);

describe("the configuration", () => {
  it("limits stop_seconds so that systemd does not kill a script that the daemon waits for", () => {
    const unit = readFileSync(
      join(import.meta.dirname, "../../../systemd/cm4all-spawn-accounting@.service"),
      "utf8",
    );
    const seconds = /^TimeoutStopSec=(\d+)$/m.exec(unit)?.[1];
    expect(() => parse(`[accounting]\nstop_seconds = ${seconds}\n`)).toThrow("stop_seconds");
  });

  it("has a default for each key", () => {
    const config = parse("");
    expect(config.namespaces).toEqual({
      listen: "@cm4all-spawn",
      settings: {
        allowed: { uids: new Set(), gids: new Set() },
        quotas: {
          names: 10_000,
          namesPerUid: 9000,
          userNamespaces: 10_000,
          userNamespacesPerName: 10_000,
          connections: 4096,
          connectionsPerUid: 1024,
        },
        lifetimeMs: 60_000,
      },
    });
    expect(config.control.socket).toBe("/run/cm4all-spawn/control.sock");
    expect(config.reaper.enabled).toBe(true);
    expect(config.metrics.listen).toBe("");
    expect(config.reaper.unusedMs).toBe(10_000);
    expect(config.accounting).toMatchObject({
      journal: { directory: "/var/lib/cm4all-spawn", limitBytes: 1024 ** 3 },
      policy: { batch: 100 },
      interimMs: 0,
    });
    for (const table of ["namespaces", "metrics", "reaper", "accounting", "control"])
      expect(parse(`[${table}]\n`)).toEqual(config);
  });

  it("leaves a tenth of the names to other uids by default", () => {
    for (const [names, perUid] of [
      [1, 1],
      [9, 9],
      [10, 9],
      [7000, 6300],
    ] as const)
      expect(
        parse(`[namespaces]\nmax_names = ${names}\n`).namespaces.settings.quotas,
      ).toMatchObject({
        names,
        namesPerUid: perUid,
      });
  });

  it("reads each key of the sections namespaces and control", () => {
    const config = parse(`
      [namespaces]
      listen = "/run/x.sock"
      expire_seconds = 0.5
      max_names = 1
      max_names_per_uid = 5
      max_user_namespaces = 9
      max_user_namespaces_per_name = 2
      max_connections = 3
      max_connections_per_uid = 10_000
      allow_uids = [0, 33, 4294967294]
      allow_gids = [12]
      [control]
      socket = ""
    `);
    expect(config.namespaces).toEqual({
      listen: "/run/x.sock",
      settings: {
        allowed: { uids: new Set([0, 33, 4294967294]), gids: new Set([12]) },
        quotas: {
          names: 1,
          namesPerUid: 5,
          userNamespaces: 9,
          userNamespacesPerName: 2,
          connections: 3,
          connectionsPerUid: 10_000,
        },
        lifetimeMs: 500,
      },
    });
    expect(config.control.socket).toBe("");
  });

  it("reads each key of the other sections", () => {
    const config = parse(`
      [metrics]
      listen = "[::1]:10469"
      [reaper]
      enabled = false
      cgroup_root = "/x"
      scopes = ["a.slice/*.scope"]
      extra_scopes = ["b.scope"]
      delete_seconds = 0
      check_seconds = 1.5
      unused_seconds = 0.5
      [accounting]
      journal = "/srv/journal"
      journal_mib = 16
      batch = 5
      interim_seconds = 1.5
      retry = false
      give_up_seconds = 2
      max_waiting = 3
      max_running = 4
      script = "/x.lua"
      user = "somebody"
      handler_seconds = 5
      answer_seconds = 6
      instructions = 7000
      memory_mib = 16
      stop_seconds = 0
    `);
    expect(config.metrics).toEqual({ listen: "[::1]:10469" });
    expect(config.reaper).toEqual({
      enabled: false,
      cgroupRoot: "/x",
      scopes: ["a.slice/*.scope", "b.scope"],
      deletionDelayMs: 0,
      checkIntervalMs: 1500,
      unusedMs: 500,
    });
    expect(config.accounting).toEqual({
      journal: { directory: "/srv/journal", limitBytes: 16 * 1024 * 1024 },
      policy: { retry: false, maxAgeMs: 2000, maxWaiting: 3, maxRunning: 4, batch: 5 },
      interimMs: 1500,
      script: "/x.lua",
      user: users[1],
      isUserNamed: true,
      handlerTimeoutMs: 5000,
      answerTimeoutMs: 6000,
      instructions: 7000,
      memoryMiB: 16,
      stopGraceMs: 0,
    });
  });

  it("names the keys that differ and need a restart", () => {
    const running = parse("");
    expect(keysForRestart(running, parse(""))).toEqual([]);
    const reloadable = `
      [namespaces]
      expire_seconds = 1
      [metrics]
      listen = "[::1]:10469"
      [accounting]
      journal_mib = 16
      batch = 5
      interim_seconds = 1
      script = "/x.lua"`;
    expect(keysForRestart(running, parse(reloadable))).toEqual([]);
    const others = `
      [namespaces]
      listen = "@x"
      [reaper]
      enabled = false
      cgroup_root = "/x"
      extra_scopes = ["a.scope"]
      delete_seconds = 1
      check_seconds = 1
      unused_seconds = 1
      [accounting]
      journal = "/x"
      [control]
      socket = ""`;
    expect(keysForRestart(running, parse(others)).join(" ")).toBe(
      "namespaces.listen reaper.enabled reaper.cgroup_root reaper.scopes reaper.delete_seconds " +
        "reaper.check_seconds reaper.unused_seconds accounting.journal control.socket",
    );
  });

  it("has the default user if no user is named, and no user if the default user is missing", () => {
    expect(parse("").accounting.user).toBe(users[0]);
    expect(parseConfig("", "spawn.toml", () => undefined).accounting.user).toBeUndefined();
    const named = '[accounting]\nuser = "cm4all-spawn-reaper"\n';
    expect(parse(named).accounting.user).toBe(users[0]);
    expect(() => parseConfig(named, "spawn.toml", () => undefined)).toThrow("spawn.toml:2: ");
  });

  it.each([
    ["listne = 1", "spawn.toml:1: listne: unknown key"],
    ["namespaces = 1", "spawn.toml:1: namespaces: expected a table, found an integer"],
    ["[namespace]", "spawn.toml:1: namespace: unknown key; known here: "],
    ["\n[namespaces]\n\nmax_name = 1", "spawn.toml:4: namespaces.max_name: unknown key"],
    ["[namespaces]\nmax_names = 1\nmax_names = 2", "spawn.toml:3: "],
    ["[namespaces]\nmax_names", "spawn.toml:2: "],
    ["[control]\nsocket = 1", "spawn.toml:2: control.socket: expected a string, found an integer"],
    ['[control]\nsocket = "x"', "spawn.toml:2: control.socket: expected an absolute path"],
    ["[control]\npath = 1", "spawn.toml:2: control.path: unknown key; known here: socket"],
    ['[metrics]\nlisten = "10469"', "spawn.toml:2: metrics.listen: expected HOST:PORT"],
    ['[reaper]\nenabled = "yes"', "spawn.toml:2: reaper.enabled: expected true or false"],
    ['[reaper]\nscopes = [\n"a",\n"/../b"]', "spawn.toml:4: reaper.scopes: "],
    [
      '[accounting]\nretry = true\nuser = "cm4all-spawn-raeper"',
      'spawn.toml:3: accounting.user: there is no user "cm4all-spawn-raeper" in /etc/passwd',
    ],
    ['[accounting]\nuser = ""', 'spawn.toml:2: accounting.user: there is no user ""'],
    ['[accounting]\njournal = ""', "spawn.toml:2: accounting.journal: expected an absolute path"],
    ['[accounting]\njournal = "x"', "spawn.toml:2: accounting.journal: expected an absolute path"],
    ["[accounting]\njournal_mib = 15", "spawn.toml:2: accounting.journal_mib: 15 is too small"],
    ["[accounting]\njournal_mib = 65537", "spawn.toml:2: accounting.journal_mib: 65537 is too"],
    ["[accounting]\nbatch = 0", "spawn.toml:2: accounting.batch: 0 is too small: at least 1"],
    ["[accounting]\nbatch = 10001", "spawn.toml:2: accounting.batch: 10001 is too large"],
    [
      "[accounting]\n\ninterim_seconds = 0.5",
      "spawn.toml:3: accounting.interim_seconds: 0.5 is too small: at least 1, or 0 for never",
    ],
    ["[accounting]\ninterim_seconds = -1", "spawn.toml:2: accounting.interim_seconds: -1 is too"],
    ["[reaper]\nunused_seconds = 0", "spawn.toml:2: reaper.unused_seconds: 0 is too small"],
    ["[accounting]\nmemory_mib = 8", "spawn.toml:2: accounting.memory_mib: 8 is too small"],
  ])("refuses %j", (text, message) => {
    expect(() => parse(text)).toThrow(message);
  });

  it.each([
    ["listen", '"cm4all-spawn"', "expected an absolute path, or @NAME"],
    ["listen", '""', "expected an absolute path, or @NAME"],
    ["listen", `"@${"x".repeat(108)}"`, ""],
    ["listen", "true", "expected a string, found a boolean"],
    ["expire_seconds", '"60"', "expected a number, found a string"],
    ["expire_seconds", "0", "0 is too small: at least 0.1"],
    ["expire_seconds", "-60", "-60 is too small"],
    ["expire_seconds", "nan", "expected a number"],
    ["expire_seconds", "inf", "expected a number"],
    ["expire_seconds", "1e9", "1000000000 is too large"],
    ["max_names", "0", "0 is too small: at least 1"],
    ["max_names", "10001", "10001 is too large: at most 10000"],
    ["max_names", "1.5", "expected an integer, found a float"],
    ["max_user_namespaces_per_name", "0", "0 is too small"],
    ["max_connections", "0", "0 is too small"],
    ["max_connections_per_uid", "99999", "99999 is too large"],
    ["allow_uids", "33", "expected an array of integers and strings, found an integer"],
    ["allow_uids", '["nobody-here"]', 'there is no user "nobody-here" in /etc/passwd'],
    ["allow_gids", '["nobody-here"]', 'there is no group "nobody-here" in /etc/group'],
    ["allow_uids", "[true]", "expected an array of integers and strings"],
    ["allow_uids", "[-1]", "-1 is too small: at least 0"],
    ["allow_uids", "[4294967295]", "4294967295 is too large"],
    ["allow_gids", "[1, 99999999999999999999]", ""],
    ["allow_gids", "[[1]]", "expected an array of integers"],
  ])("refuses %s = %s, naming the line", (key, value, problem) => {
    const text = `[namespaces]\n# a comment\n${key} = ${value}\n`;
    expect(() => parse(text)).toThrow(`spawn.toml:3: namespaces.${key}: ${problem}`);
  });
});

describe("readConfig", () => {
  it("refuses a FIFO and a file of a gigabyte, which would block the daemon at a reload", () => {
    const directory = mkdtempSync(join(tmpdir(), "config-"));
    try {
      const file = join(directory, "spawn.toml");
      expect(spawnSync("mkfifo", [file]).status).toBe(0);
      const read = () => readConfig(file);
      expect(read).toThrow(`cannot read the configuration: ${file}: it is not a regular file`);
      rmSync(file);
      writeFileSync(file, "");
      truncateSync(file, 1024 ** 3);
      expect(read).toThrow(`cannot read the configuration: ${file}: it has more than`);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
