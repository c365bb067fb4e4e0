/** The surroundings that the snippets of the pages need, and the results that they have to show. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import type { Snippet } from "@cm4all/testing/snippets";
import type { Context } from "../case.ts";
import { installEditor, removeEditor } from "./editor.ts";
import { type Page, type Reader, standIn } from "./pages.ts";
import { forgetDatabase, query } from "./postgres.ts";
import { listRecords } from "./records.ts";
import { Scope } from "./scope.ts";
import { sh, waitFor } from "./shell.ts";
import { SERVICE } from "./systemd.ts";

const CONFIG = "/etc/cm4all/spawn";
export const SCRIPT = `${CONFIG}/accounting.lua`;
const IMAGE = "/var/lib/machines/web";
/** The name that a reader of the pages gives to the processes of a customer. */
export const NAME = "test";

/** A script that fails after an effect, so that the record of the cgroup `parked` is parked. */
const PARKING = `function cgroup_released(cgroup)
  if not cgroup.path:find("/parked$") then return end
  os.execute("true")
  error("as it should")
end
`;

/** The surroundings that a snippet needs, and the result that it has to show. */
export interface Surroundings extends Reader {
  readonly before?: (snippet: Snippet) => unknown;
  readonly after?: () => unknown;
  readonly prints?: RegExp;
  /** True to run the snippet again and again until it shows the result. */
  readonly isAwaited?: true;
}

function holdName(): void {
  sh(`cm4all-spawn-client run ${NAME} --ipc --pid -- sleep infinity >/dev/null 2>&1 </dev/null &`);
}

/** Makes a parked record. @returns its number */
async function parkRecord(slowness: number): Promise<string> {
  writeFileSync(SCRIPT, PARKING);
  sh(`systemctl restart ${SERVICE}`);
  const scope = await Scope.start(slowness);
  try {
    scope.run("parked", "true");
    const parked = await waitFor("a record is parked", 30_000 * slowness, () =>
      listRecords().find(({ state }) => state === "parked"),
    );
    return String(parked.number);
  } finally {
    scope.stop();
  }
}

/** A script that prints the path of each cgroup. */
const SAYING = `function cgroup_released(cgroup)
  print(cgroup.path)
end
`;

const DROP_ALL = `cm4all-spawn accounting list --json | grep -o '"number": *[0-9]*' | tr -dc '0-9\\n' |
  xargs -r cm4all-spawn accounting drop`;

/** Removes what parkRecord has made. */
function unpark(): void {
  sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}; ${DROP_ALL}`);
}

/** Checks that the journal and a record in it have been moved, and moves the journal back. */
function moveJournalBack(number: string): void {
  try {
    assert.match(sh("cm4all-spawn status || true"), /^journal in +\/srv\/journal\b/m);
    const records = listRecords().map((record) => `${record.state} ${record.number}`);
    assert.ok(records.includes(`parked ${number}`), records.join());
  } finally {
    removeEditor();
    sh(`systemctl stop cm4all-spawn.socket ${SERVICE}
        systemctl revert ${SERVICE}
        mv /srv/journal/* /var/lib/cm4all-spawn/; rmdir /srv/journal
        cp /run/spawn.toml ${CONFIG}/spawn.toml
        systemctl start cm4all-spawn.socket ${SERVICE}`);
    unpark();
  }
}

/** Makes an image of another system, with its own C library. */
function makeImage(): void {
  sh(`mkdir -p ${IMAGE}/etc ${IMAGE}/usr/lib/x86_64-linux-gnu
      cp /usr/lib/x86_64-linux-gnu/libc.so.6 ${IMAGE}/usr/lib/x86_64-linux-gnu
      printf 'passwd: files\\ngroup: files\\n' >${IMAGE}/etc/nsswitch.conf`);
}

/** Returns the text of a snippet that people copy into a file. */
function textOf(pages: readonly Page[], language: string, beginning: string): string {
  const found = pages
    .flatMap(({ snippets }) => snippets)
    .find(({ text, ...each }) => each.language === language && text.startsWith(beginning));
  assert.ok(found, `there is a ${language} that begins with ${beginning}`);
  return `${found.text}\n`;
}

/**
 * Returns the surroundings, by the beginning of each snippet.
 * @param values values of words that the reader of a snippet replaces; some are added while the
 *   snippets run
 */
export function surroundingsOf(
  texts: readonly Page[],
  values: Record<string, string>,
  { slowness, hasControllers }: Pick<Context, "slowness" | "hasControllers">,
): Readonly<Record<string, Surroundings>> {
  let scope: Scope | undefined;
  return {
    "apt-get install postgresql": { before: forgetDatabase },
    'runuser -u cm4all-spawn-reaper -- psql -d accounting -c "': {
      prints: /customer-4711 *\| +\d*\.?\d*[1-9]/,
      isAwaited: true,
    },
    "cm4all-spawn status                  ": { before: holdName },
    "cm4all-spawn accounting list        ": {
      before: async () => {
        values["ID"] = await parkRecord(slowness);
      },
      prints: /dropped /,
      after: () => sh(`rm ${SCRIPT}; systemctl restart ${SERVICE}`),
    },
    "cm4all-spawn-netns check web": {
      before: () =>
        writeFileSync(`${CONFIG}/netns/web.toml`, textOf(texts, "toml", "[inside]\naddresses")),
      after: () => sh(`rm ${CONFIG}/netns/web.toml`),
      prints: /1 received/,
    },
    "cm4all-slice install --dry-run": {
      before: () => writeFileSync(`${CONFIG}/slice.toml`, textOf(texts, "toml", "MemoryHigh")),
      after: () => sh(`rm ${CONFIG}/slice.toml; cm4all-slice remove`),
    },
    "cm4all-logname install     ": { after: () => sh("cm4all-logname install") },
    "$ cm4all-logname install --root": { before: makeImage, after: () => sh(`rm -r ${IMAGE}`) },
    "$ cm4all-logname install\n": {
      before: () =>
        sh(`cp /etc/nsswitch.conf /run/nsswitch.e2e
            printf '\\n\\n\\n\\n\\n\\npasswd: sss [NOTFOUND=return]\\ngroup: files\\n' >/etc/nsswitch.conf`),
      after: () => sh("cp /run/nsswitch.e2e /etc/nsswitch.conf"),
    },
    "cd /usr/share/doc/cm4all-spawn/examples/accounting": { before: forgetDatabase },
    "runuser -u postgres -- createdb accounting": { before: forgetDatabase },
    "runuser -u postgres -- createuser -g fleet_host": {
      types: "a password\na password\n",
      after: () => {
        const role = "SELECT rolpassword ~ '^SCRAM-' FROM pg_authid WHERE rolname = 'web1'";
        assert.deepEqual(query(role), [["t"]]);
      },
    },
    "promtool check config prometheus.yml": {
      before: () => standIn("/usr/share/doc/cm4all-spawn/examples/prometheus"),
      prints: /SUCCESS: 2 rule files.*Unit Testing.*SUCCESS/s,
    },
    "cm4all-spawn report --html usage.html": {
      before: () => {
        standIn("/run");
        sh("runuser -u postgres -- createuser -g fleet_reader nobody");
      },
      // Which of these files exist depends on the page.
      after: () => sh("rm -f /run/usage.html /run/alice.html"),
    },
    "systemd-run --scope --slice=system-cm4all.slice --unit=bp-spawn -p Delegate=yes sh": {
      prints: /\btry: /,
    },
    "install -o cm4all-spawn-reaper -m 600": {
      before: () => {
        standIn("/run");
        sh("touch /run/pgpass");
      },
      after: () => sh(`rm /run/pgpass ${CONFIG}/pgpass`),
    },
    "cm4all-logname install --root": { before: makeImage, after: () => sh(`rm -r ${IMAGE}`) },
    "systemctl edit cm4all-spawn.service": {
      before: async (snippet) => {
        values["ID"] = await parkRecord(slowness);
        sh(`cp ${CONFIG}/spawn.toml /run/spawn.toml`);
        installEditor(snippet);
      },
      hasTerminal: true,
      after: () => moveJournalBack(values["ID"] ?? ""),
    },
    "cm4all-spawn accounting list --json | jq": {
      before: () => parkRecord(slowness),
      after: unpark,
      prints: /^ +1 .*as it should$/m,
    },
    "cm4all-spawn accounting retry --all": {
      before: () => parkRecord(slowness),
      after: unpark,
    },
    "cm4all-spawn accounting show ID --json | jq": {
      before: async () => {
        values["ID"] = await parkRecord(slowness);
        standIn("/run/e2e-try");
        sh("mkdir /run/e2e-try");
        writeFileSync("/run/e2e-try/accounting.lua", SAYING);
      },
      after: () => {
        sh("rm -r /run/e2e-try");
        unpark();
      },
      prints: /bp-spawn\.scope\/parked/,
    },
    "cm4all-spawn-netns exec web": {
      before: () => {
        writeFileSync(`${CONFIG}/netns/web.toml`, textOf(texts, "toml", "[inside]\naddresses"));
        sh("cm4all-spawn-netns up web");
      },
      after: () => sh(`cm4all-spawn-netns down web; rm ${CONFIG}/netns/web.toml`),
      prints: /10\.0\.5\.2/,
    },
    "cm4all-slice install batch": {
      before: () => sh("mkdir -p /srv/image"),
      after: () => sh("rm -r /srv/image"),
    },
    "cm4all-slice status --json | jq": {
      before: async () => {
        scope = await Scope.start(slowness);
      },
      after: () => scope?.stop(),
      prints: hasControllers
        ? /\{\s+"name": "bp-spawn\.scope",\s+"memoryBytes": \d+\s+\}/
        : /\{\s+"name": "bp-spawn\.scope",\s+"memoryBytes": null\s+\}/,
    },
    "cm4all-slice install --no-config": {
      before: () => {
        standIn("/run/e2e-build");
        sh("mkdir -p /run/e2e-build/debian/cm4all-slice");
      },
      after: () => sh("rm -r /run/e2e-build"),
    },
  };
}
