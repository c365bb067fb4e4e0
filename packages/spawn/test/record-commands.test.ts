/** Tests `cm4all-spawn accounting` on a journal's files, and on a daemon that has them open. */
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import type { Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CgroupRecord } from "@cm4all/cgroup";
import {
  DEFAULT_OPTIONS,
  DiskDirectory,
  Journal,
  RecordState,
  tryLockJournal,
} from "@cm4all/journal";
import { bytesOfLatin1, bytesOfText } from "@cm4all/linux";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { OfflineRecords } from "../src/accounting/commands/offline-records.ts";
import { answerRequest, type DaemonParts } from "../src/control/commands.ts";
import { listenForControl } from "../src/control/server.ts";
import { BUNDLE, until } from "./support/daemon.ts";

const BOOT = "9ae1f4de-1d4c-4d57-9d3b-8b0c4f1a2b3c";

let directory: string;
let journal: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "record-commands-"));
  journal = join(directory, "journal");
  mkdirSync(journal);
});
afterEach(() => rmSync(directory, { recursive: true }));

const controlSocket = () => join(directory, "control.sock");

interface Result {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line in which "$@" stands for the program, its options and `accounting`. */
function shell(script: string): Promise<Result> {
  writeFileSync(join(directory, "spawn.toml"), "");
  const program = [process.execPath, BUNDLE, "--config", join(directory, "spawn.toml")];
  const options = ["--journal", journal, "--control", controlSocket(), "accounting"];
  return new Promise((resolve) => {
    execFile(
      "bash",
      ["-o", "pipefail", "-c", script, "bash", ...program, ...options],
      { encoding: "utf8", maxBuffer: 2 ** 28 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : Number(error.code);
        resolve({ status, stdout, stderr });
      },
    );
  });
}

const run = (...args: string[]) =>
  shell(`"$@" ${args.map((arg) => `'${arg.replaceAll("'", "'\\''")}'`).join(" ")}`);

function record(inode: number, report = 1, path = `/a.scope/job${inode}`): CgroupRecord {
  const snapshot = {
    path: bytesOfText(path),
    id: `${BOOT}-${inode}`,
    report,
    measuredMs: Date.UTC(2026, 10, 25, 12, 0, inode % 60),
    cpuTotalUsec: report * 1_500_000,
  };
  return { snapshot, xattrs: [[[bytesOfText("user.account"), bytesOfLatin1("x\xff")]]] };
}

async function withJournal<T>(work: (journal: Journal) => Promise<T>): Promise<T> {
  const opened = await Journal.open(new DiskDirectory(journal));
  try {
    return await work(opened);
  } finally {
    await opened.close();
  }
}

function append(...records: readonly CgroupRecord[]): Promise<number[]> {
  return withJournal((opened) =>
    Promise.all(records.map((each) => opened.append(Buffer.from(JSON.stringify(each))))),
  );
}

type Mark = readonly [number: number | undefined, state: RecordState, note?: string];

function mark(...marks: readonly Mark[]): Promise<unknown> {
  return withJournal((opened) =>
    Promise.all(marks.map(([number, state, note]) => opened.mark(number ?? -1, state, note))),
  );
}

function states(): Promise<[number, RecordState][]> {
  return withJournal(async (opened) =>
    [...opened.records()].map(({ number, state }) => [number, state]),
  );
}

describe("on the files of a journal", () => {
  it("list reports that no records wait", async () => {
    expect(await run("list")).toEqual({
      status: 0,
      stdout: "no records wait to be accounted\n",
      stderr: "",
    });
    expect(JSON.parse((await run("list", "--json")).stdout)).toEqual([]);
  });

  it("list shows the records that wait, and the parked ones with the reason", async () => {
    const [first, second, third, done] = await append(...[1, 2, 3, 4].map((i) => record(i)));
    await mark([second, RecordState.PARKED, "an old reason"], [second, RecordState.WAITING]);
    await mark(
      [second, RecordState.PARKED, "no answer\nfrom the server"],
      [third, RecordState.BEGAN],
      [done, RecordState.GONE],
    );
    const { status, stdout, stderr } = await run("list");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.split("\n").map((line) => line.split(/ {2,}/))).toEqual([
      ["NUMBER", "STATE", "SINCE", "PATH", "REASON"],
      [String(first), "waiting", expect.stringContaining(":01"), "/a.scope/job1"],
      [
        String(second),
        "parked",
        expect.stringContaining(":02"),
        "/a.scope/job2",
        "no answer\\nfrom the server",
      ],
      [String(third), "began", expect.stringContaining(":03"), "/a.scope/job3"],
      ["1 waits, 1 is parked, 1 has begun"],
      [""],
    ]);
    const listed = JSON.parse((await run("list", "--json")).stdout);
    expect(listed).toHaveLength(3);
    expect(listed[1]).toEqual({
      number: second,
      state: "parked",
      id: `${BOOT}-2`,
      report: 1,
      path: "/a.scope/job2",
      measuredMs: Date.UTC(2026, 10, 25, 12, 0, 2),
      reason: "no answer\nfrom the server",
    });
  });

  it("list shows each record of several pages once, and ends when its reader ends", async () => {
    const numbers = await append(...Array.from({ length: 1001 }, (_, i) => record(i)));
    const listed: { number: number }[] = JSON.parse((await run("list", "--json")).stdout);
    expect(listed.map(({ number }) => number)).toEqual(numbers);
    expect((await run("list")).stdout).toMatch(/\n1001 wait\n$/);
    expect(await shell('"$@" list | head -n 1')).toEqual({
      status: 0,
      stdout: expect.stringMatching(/^NUMBER +STATE/),
      stderr: "",
    });
  });

  it("list, even with a slow reader, does not keep a daemon from starting", async () => {
    await append(...Array.from({ length: 3000 }, (_, i) => record(i)));
    const go = join(directory, "go");
    const begun = join(directory, "begun");
    // The first line is written when the list is complete; the rest does not fit into the pipe.
    const reader = `{ read -r line; : >${begun}; while ! [ -e ${go} ]; do sleep 0.1; done; wc -l; }`;
    const listed = shell(`"$@" list | ${reader}`);
    await until(() => existsSync(begun), "it is read");
    const lock = tryLockJournal(journal);
    writeFileSync(go, "");
    expect((await listed).stdout).toBe("3001\n");
    expect(lock).toBeDefined();
    lock?.close();
  });

  it("list continues after records that it cannot read", async () => {
    const numbers = await withJournal(async (opened) => [
      await opened.append(Buffer.from('{"of":"another version"}')),
      await opened.append(Buffer.from(JSON.stringify(record(1)))),
    ]);
    const { stdout } = await run("list");
    expect(stdout).toMatch(
      /waiting +- +- +it cannot be read: it is not a record that this version can read\n/,
    );
    expect(stdout).toContain("/a.scope/job1");
    expect((await run("drop", String(numbers[0]))).stdout).toBe(
      `dropped record ${numbers[0]}, waiting, -\n`,
    );
    expect(await states()).toEqual([[numbers[1], RecordState.WAITING]]);
  });

  it("list names the damaged files", async () => {
    await append(record(1), record(2));
    const [file] = readdirSync(journal);
    const path = join(journal, file ?? "");
    const bytes = readFileSync(path);
    const offset = bytes.indexOf("job1");
    bytes.writeUInt8(bytes.readUInt8(offset) ^ 1, offset);
    writeFileSync(path, bytes);
    const { status, stdout, stderr } = await run("list");
    expect(status).toBe(0);
    expect(stdout).toContain("job2");
    expect(stderr).toMatch(/\.journal: \d+ damaged bytes\n$/);
  });

  it("show prints all fields of a record, by its number or its cgroup's id", async () => {
    const [number, other] = await append(record(1), record(1, 2), record(2));
    await mark([number, RecordState.PARKED, "no answer"]);
    const { stdout } = await run("show", String(number));
    const rows = stdout.trimEnd().split("\n");
    expect(rows.map((row) => row.split(/ {2,}/))).toEqual([
      ["record", String(number)],
      ["state", "parked"],
      ["reason", "no answer"],
      ["since", expect.stringMatching(/^2026-11-25T/)],
      ["path", "/a.scope/job1"],
      ["id", `${BOOT}-1`],
      ["report", "1"],
      ["measured", String(Date.UTC(2026, 10, 25, 12, 0, 1) / 1000)],
      ["cpu_total", "1.5"],
      ['xattr["user.account"]', "x\ufffd"],
    ]);
    const both = await run("show", `${BOOT}-1`);
    expect(both.stdout.split("\n\n")).toHaveLength(2);
    expect(`${both.stdout.split("\n\n")[0]}\n`).toBe(stdout);
    const [shown] = JSON.parse((await run("show", "--json", String(other))).stdout);
    expect(shown).toMatchObject({ number: other, state: "waiting", record: record(1, 2) });
  });

  it.each([[["show"]], [["retry"]], [["drop"]]])(
    "%j reports which record does not exist",
    async (args) => {
      const [number] = await append(record(1));
      for (const id of ["17", "nonsense", `${BOOT}-2`]) {
        const result = await run(...args, String(number), id);
        expect(result).toEqual({
          status: 65,
          stdout: "",
          stderr: `cm4all-spawn: there is no record ${id}: see "cm4all-spawn accounting list"\n`,
        });
      }
      expect(await states()).toEqual([[number, RecordState.WAITING]]);
    },
  );

  it("retry hands over parked and interrupted records again, and no others", async () => {
    const [first, waiting, parked, began, last] = await append(
      ...[4, 1, 2, 3, 5].map((i) => record(i)),
    );
    await mark(
      [first, RecordState.PARKED, "another reason"],
      [parked, RecordState.PARKED, "no answer"],
      [began, RecordState.BEGAN],
      [last, RecordState.PARKED, "another reason"],
    );
    expect(await run("retry", String(waiting))).toMatchObject({
      status: 65,
      stderr: `cm4all-spawn: record ${waiting} is not parked\n`,
    });
    expect((await run("retry", String(parked), `${BOOT}-3`)).stdout).toBe(
      `will be handed over again when the daemon is running: record ${parked}, parked, /a.scope/job2: cpu=1.5s\n` +
        `will be handed over again when the daemon is running: record ${began}, began, /a.scope/job3: cpu=1.5s\n`,
    );
    expect((await states()).map(([, state]) => state)).toEqual([2, 0, 0, 0, 2]);
    const { stdout } = await run("list");
    expect(stdout.match(/another reason/g)).toHaveLength(2);
    expect(stdout).not.toContain("no answer");
  });

  it("retry refuses an older report of a cgroup, and takes the latest one if the cgroup's id is given", async () => {
    const [older, latest, alone] = await append(record(1, 1), record(1, 2), record(2));
    await mark(
      ...[older, latest, alone].map((number): Mark => [number, RecordState.PARKED, "no answer"]),
    );
    expect(await run("retry", String(alone), String(older))).toMatchObject({
      status: 65,
      stderr: expect.stringContaining(`record ${older} is not handed over again: a later report`),
    });
    expect((await states()).map(([, state]) => state)).toEqual([2, 2, 2]);
    const { stdout } = await run("retry", `${BOOT}-1`);
    expect(stdout).toContain(`again when the daemon is running: record ${latest}, `);
    expect(stdout).toContain(
      `not handed over, because a later report of the same cgroup includes its figures: record ${older}`,
    );
    expect(await states()).toEqual([
      [older, RecordState.PARKED],
      [latest, RecordState.WAITING],
      [alone, RecordState.PARKED],
    ]);
  });

  it("retry --all retries all records that can be retried", async () => {
    expect((await run("retry", "--all")).stdout).toBe("no record is parked\n");
    const numbers = await append(...Array.from({ length: 300 }, (_, i) => record(i + 2)));
    const [older, latest] = await append(record(1, 1), record(1, 2));
    await mark(
      ...[...numbers.slice(0, 2), older, latest].map(
        (number): Mark => [number, RecordState.PARKED, "no answer"],
      ),
    );
    expect(await run("retry", "--all")).toEqual({
      status: 0,
      stderr: "",
      stdout: "3 records will be handed over again when the daemon is running\n",
    });
    const parked = (await states()).filter(([, state]) => state === RecordState.PARKED);
    expect(parked).toEqual([[older, RecordState.PARKED]]);
  });

  it.each([[["retry"]], [["retry", "--all", "1"]], [["show"]], [["drop"]], [["lsit"]]])(
    "%j is a usage error",
    async (args) => {
      expect((await run(...args)).status).toBe(64);
    },
  );

  it("drop removes records, and names each with its figures", async () => {
    const [first, second, third] = await append(record(1), record(1, 2), record(2));
    await mark([first, RecordState.PARKED, "no answer"]);
    expect(await run("drop", `${BOOT}-1`)).toEqual({
      status: 0,
      stdout:
        `dropped record ${first}, parked, /a.scope/job1: cpu=1.5s\n` +
        `dropped record ${second}, waiting, /a.scope/job1: cpu=3.0s\n`,
      stderr: "",
    });
    expect(await states()).toEqual([[third, RecordState.WAITING]]);
  });

  it("drop fails and changes nothing if the journal cannot be written", async () => {
    const [number] = await append(record(1));
    for (const limit of [0, 64]) {
      const { status, stdout, stderr } = await shell(
        `prlimit --fsize=${limit} "$@" drop ${number}`,
      );
      expect(stdout).toBe("");
      expect(stderr).toMatch(/^cm4all-spawn: cannot write the journal: EFBIG/);
      expect(status).toBe(74);
    }
    expect(await states()).toEqual([[number, RecordState.WAITING]]);
  });

  it("counts all records that are left undecided, however many there are", async () => {
    const opened = await Journal.open(new DiskDirectory(journal), DEFAULT_OPTIONS);
    const payloads = Array.from({ length: 100_001 }, () => opened.append(Buffer.from("x")));
    const numbers = await Promise.all(payloads);
    await opened.close();
    const create = vi.spyOn(DiskDirectory.prototype, "create");
    create.mockRejectedValue(Object.assign(new Error("broken"), { code: "EIO" }));
    try {
      const options = { directory: journal, limitBytes: DEFAULT_OPTIONS.limitBytes };
      await using records = await OfflineRecords.open(options, () => {});
      await expect(records.drop(numbers)).rejects.toThrow("the last 100001 records are still");
    } finally {
      create.mockRestore();
    }
  });

  it("drop uses the reserve if the disk is full", async () => {
    const [first, second] = await append(record(1), record(2));
    // The journal has created its reserve of 4 MiB.
    const script = [
      `cp -r ${journal} ${directory}/copy`,
      `mount -t tmpfs -o size=8m tmpfs ${journal}`,
      `cp --sparse=never ${directory}/copy/* ${journal}/`,
      `cat /dev/zero 2> /dev/null > ${journal}/filler`,
      `"$@" drop ${first} && "$@" list --json`,
    ].join("\n");
    const { status, stdout, stderr } = await shell(`unshare --mount bash -c '${script}' bash "$@"`);
    expect([status, stderr]).toEqual([0, ""]);
    const [dropped, listed = ""] = stdout.split(/\n(?=\[)/);
    expect(dropped).toMatch(/^dropped record/);
    expect(JSON.parse(listed)).toEqual([expect.objectContaining({ number: second })]);
  });

  it("list reports what is wrong with the journal's directory", async () => {
    const lock = tryLockJournal(journal);
    expect(await run("list")).toMatchObject({
      status: 75,
      stderr: expect.stringContaining(`another process has locked the journal ${journal}`),
    });
    lock?.close();
    rmSync(journal, { recursive: true });
    expect(await run("list")).toMatchObject({
      status: 66,
      stderr: expect.stringMatching(
        /cannot open the journal: ENOENT.*accounting\.journal says where/,
      ),
    });
    writeFileSync(journal, "");
    expect((await run("list")).status).toBe(66);
  });
});

describe("on a daemon", () => {
  let server: Server | undefined;

  /** Answers requests as the daemon's main thread does. */
  async function serve(accounting: OfflineRecords | undefined): Promise<void> {
    const parts: Partial<DaemonParts> = { accounting };
    server = await listenForControl(
      controlSocket(),
      (request) => answerRequest(parts as DaemonParts, request),
      () => {},
    );
  }
  afterEach(() => server?.close());

  const openRecords = () =>
    OfflineRecords.open({ directory: journal, limitBytes: DEFAULT_OPTIONS.limitBytes }, () => {});

  it("asks the daemon page by page, and reports its refusals", async () => {
    const numbers = await append(...Array.from({ length: 501 }, (_, i) => record(i)));
    await mark([numbers[3], RecordState.PARKED, "no answer"]);
    await using records = await openRecords();
    await serve(records);
    const listed: { number: number }[] = JSON.parse((await run("list", "--json")).stdout);
    expect(listed.map(({ number }) => number)).toEqual(numbers);
    expect(await run("retry", String(numbers[0]))).toEqual({
      status: 65,
      stdout: "",
      stderr: `cm4all-spawn: record ${numbers[0]} is not parked\n`,
    });
    expect((await run("retry", "--all")).stdout).toBe("1 record is handed over again\n");
    expect((await run("drop", `${BOOT}-7`)).stdout).toContain(`dropped record ${numbers[7]}, `);
    expect((await run("show", `${BOOT}-7`)).status).toBe(65);
    expect((await run("list")).stdout).toMatch(/\n500 wait\n$/);
    const many = numbers.slice(8).map(String);
    expect((await run("drop", ...many)).stdout.match(/^dropped /gm)).toHaveLength(many.length);
    expect((await run("list")).stdout).toMatch(/\n7 wait\n$/);
  });

  it("uses the files if the daemon has no journal", async () => {
    await append(record(1));
    await serve(undefined);
    expect((await run("list")).stdout).toContain("/a.scope/job1");
  });
});
