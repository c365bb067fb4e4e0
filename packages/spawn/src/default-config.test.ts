import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { HANDLER_PAUSES } from "./accounting/handlers/failing.ts";
import { PROBE_PAUSES } from "./accounting/handlers/outage.ts";
import type { SystemUser } from "./accounting/terms/user.ts";
import { keysForRestart, parseConfig } from "./config.ts";

const text = readFileSync(new URL("../spawn.toml", import.meta.url), "utf8");
const page = readFileSync(new URL("../../../docs/man/spawn.toml.5", import.meta.url), "utf8");

const readme = readFileSync(new URL("../../../README.md", import.meta.url), "utf8");

const find = (name: string): SystemUser => ({ name, uid: 900, gid: 900, home: "/nonexistent" });
const parse = (toml: string) => parseConfig(toml, "spawn.toml", find);

describe("spawn.toml as it is shipped", () => {
  it("changes nothing, and serves no metrics", () => {
    expect(parse(text)).toEqual(parse(""));
    expect(parse(text).metrics.listen).toBe("");
  });

  it("shows each key with its default", () => {
    const uncommented = text.replaceAll(/^#([a-z_]+ = | {2}"|\])/gm, "$1");
    expect(uncommented).not.toBe(text);
    const defaults = parse("");
    // `isUserNamed` is true even if the user that is named is the default user.
    const accounting = { ...defaults.accounting, isUserNamed: true };
    expect(parse(uncommented)).toEqual({ ...defaults, accounting });
  });
});

/** Returns the lines that belong to each key, by `SECTION.KEY`. */
function entries(text: string, section: RegExp, key: RegExp): Map<string, string> {
  const found = new Map<string, string>();
  let path = "";
  let entry = "";
  for (const line of text.split("\n")) {
    path = section.exec(line)?.[1] ?? path;
    const name = key.exec(line)?.[1];
    if (name !== undefined) entry = `${path}.${name}`;
    if (entry !== "") found.set(entry, `${found.get(entry) ?? ""} ${line}`);
  }
  return found;
}

describe("the pause before a failed handler is called again", () => {
  const [first, last] = [HANDLER_PAUSES[0], HANDLER_PAUSES.at(-1) ?? 0];

  it.each([
    ["spawn.toml", text],
    ["README", readme],
  ])("is documented in %s", (_, words) => {
    expect(words).toContain(`pauses of ${first / 1000} s to ${last / 60_000} min`);
  });

  it("is documented in spawn.toml(5), with the pauses of an outage", () => {
    expect(page).toContain(`after pauses of ${first / 1000} second to ${last / 60_000} minutes.`);
    const probe = [PROBE_PAUSES[0], PROBE_PAUSES.at(-1) ?? 0].map((ms) => ms / 1000);
    expect(page).toContain(`after pauses of ${probe.join(" to ")} seconds`);
  });
});

it("spawn.toml and prometheus.yml show the same port, which is not allocated to an exporter", () => {
  const prometheus = new URL("../../../examples/prometheus/prometheus.yml", import.meta.url);
  const ports = `${text}${readFileSync(prometheus, "utf8")}`.match(/(?<=(\d|]):)\d+/g);
  // Not allocated in https://github.com/prometheus/prometheus/wiki/Default-port-allocations
  expect([...new Set(ports)]).toEqual(["10469"]);
});

describe("spawn.toml(5)", () => {
  const terms = page.replaceAll(".TP\n", ".TP ");
  const described = entries(terms, /^\.SS \[(\w+)\]/, /^\.TP \.B (\w+)$/);
  const keys = entries(text, /^\[(\w+)\]/, /^#(\w+) = /);

  it("describes each key, in the same sections as the file", () => {
    expect([...described.keys()].sort()).toEqual([...keys.keys()].sort());
  });

  it("names the keys that only a restart applies", () => {
    const changed = `[namespaces]\nlisten = "@x"
      [reaper]\nenabled = false\ncgroup_root = "/x"\nextra_scopes = ["a.scope"]
      delete_seconds = 1\ncheck_seconds = 1\nunused_seconds = 1
      [accounting]\njournal = "/x"\n[control]\nsocket = ""`;
    const restart = keysForRestart(parse(""), parse(changed));
    expect(restart).toHaveLength(9);
    const said = [...keys.keys()].filter((name) =>
      described.get(name)?.includes("A change requires a restart."),
    );
    expect(said.filter((name) => name !== "reaper.extra_scopes").sort()).toEqual(restart.sort());
  });
});
