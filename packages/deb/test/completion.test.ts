/** Tests the completions in their shells. */
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const packages = fileURLToPath(new URL("../..", import.meta.url));
const BUNDLES = {
  "cm4all-spawn": "spawn",
  "cm4all-spawn-client": "client",
  "cm4all-spawn-netns": "netns",
  "cm4all-slice": "slice",
  "cm4all-logname": "nss-logname",
};

let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "completion-"));
  mkdirSync(join(directory, "bin"));
  for (const [name, where] of Object.entries(BUNDLES)) {
    const bundle = join(packages, where, "dist", `${name}.js`);
    run(process.execPath, [join(packages, "deb/completion.mjs"), name, bundle, directory]);
    // The completions call the programs, which are not installed: scripts stand in for them.
    const program = join(directory, "bin", name);
    writeFileSync(program, `#!/bin/sh\nexec '${process.execPath}' '${bundle}' "$@"\n`);
    chmodSync(program, 0o755);
  }
  listRecords(join(directory, "bin/cm4all-spawn"));
  writeFileSync(join(directory, "accounting.lua"), "");
  makeNetworks();
});
afterAll(() => rmSync(directory, { recursive: true }));

/** Changes a program's script so that it lists some records without a daemon. */
function listRecords(program: string): void {
  const [first = "", ...rest] = readFileSync(program, "utf8").split("\n");
  const list = "printf 'record  cgroup\\n7  /a\\n12  /b\\n15  /c\\n'";
  const stub = `if [ "$1 $2" = "accounting list" ]; then ${list}; exit; fi`;
  writeFileSync(program, [first, stub, ...rest].join("\n"));
}

/**
 * Creates files that look like network namespaces and descriptions, and makes the completions look
 * for them there, not in this machine's directories.
 */
function makeNetworks(): void {
  const places = {
    "/run/netns": ["web", "worker"],
    "/etc/cm4all/spawn/netns": ["web.toml", "wiki.toml"],
  };
  for (const [i, [place, files]] of Object.entries(places).entries()) {
    const moved = join(directory, `netns-${i}`);
    mkdirSync(moved);
    for (const file of files) writeFileSync(join(moved, file), "");
    for (const name of ["cm4all-spawn-netns", "_cm4all-spawn-netns", "cm4all-spawn-netns.fish"]) {
      const script = join(directory, name);
      const text = readFileSync(script, "utf8");
      expect(text).toContain(place);
      writeFileSync(script, text.replaceAll(place, moved));
    }
  }
}

function run(program: string, args: string[]): string {
  const { stdout, stderr, error } = spawnSync(program, args, {
    encoding: "utf8",
    cwd: directory,
    env: { ...process.env, PATH: `${join(directory, "bin")}:${process.env["PATH"]}` },
  });
  expect(error).toBeUndefined();
  expect(stderr).toBe("");
  return stdout;
}

const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");
const lines = (text: string) => text.split("\n").filter((line) => line !== "");

function inBash(...words: string[]): string[] {
  const [name = ""] = words;
  const script = `
    source ./${name}
    COMP_WORDS=(${quoted(words)}) COMP_CWORD=${words.length - 1}
    $(complete -p ${name} | sed 's/.*-F \\([^ ]*\\).*/\\1/')
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  return lines(run("bash", ["-c", script]));
}

/**
 * Runs zsh with functions in place of those that only exist in its line editor, which needs a
 * terminal.
 */
function inZsh(...words: string[]): string[] {
  const script = `
    compadd() { while [[ $1 != -- ]]; do shift; done; shift; print -l -- \${(M)@:#\${words[CURRENT]}*} }
    _files() { print -l -- \${words[CURRENT]}*(N) }
    _command_names() { print -l -- \${(M)\${(k)commands}:#\${words[CURRENT]}*} }
    _users() { print root }
    words=(${quoted(words)}) CURRENT=${words.length}
    source ./_${words[0]}`;
  return lines(run("zsh", ["-f", "-c", script]));
}

function inFish(...words: string[]): string[] {
  const script = `source ./${words[0]}.fish; complete -C ${JSON.stringify(words.join(" "))}`;
  return lines(run("fish", ["--no-config", "-c", script])).map((line) => line.split("\t")[0] ?? "");
}

describe.each([
  ["bash", inBash],
  ["zsh", inZsh],
  ["fish", inFish],
])("in %s", (_, complete) => {
  it.each<[string[], string[]]>([
    [["cm4all-spawn", "pur"], ["purge-namespaces"]],
    [["cm4all-spawn", "rel"], ["reload"]],
    [["cm4all-spawn", "purge-namespaces", "--i"], ["--idle"]],
    [["cm4all-spawn", "purge-namespaces", "--a"], ["--all"]],
    [["cm4all-spawn", "accounting", "re"], ["retry"]],
    [["cm4all-spawn", "accounting", "retry", "--a"], ["--all"]],
    [["cm4all-spawn-client", "run", "--uid"], ["--uid-map"]],
    [["cm4all-spawn-netns", "do"], ["down"]],
    [["cm4all-logname", "inst"], ["install"]],
  ])("completes %j to %j", (words, expected) => {
    expect(complete(...words)).toEqual(expected);
  });

  it("completes files for arguments that are files", () => {
    expect(complete("cm4all-spawn", "lua", "acc")).toEqual(["accounting.lua"]);
    expect(complete("cm4all-spawn", "measure", "acc")).toEqual(["accounting.lua"]);
    expect(complete("cm4all-spawn", "--config", "acc")).toEqual(["accounting.lua"]);
    expect(complete("cm4all-spawn", "--config", "x", "lua", "acc")).toEqual(["accounting.lua"]);
  });

  it("completes names of network namespaces that exist or are described", () => {
    expect(complete("cm4all-spawn-netns", "down", "w")).toEqual(["web", "wiki", "worker"]);
  });

  it("completes numbers of records", () => {
    expect(complete("cm4all-spawn", "accounting", "show", "1")).toEqual(["12", "15"]);
  });

  it("completes directives of a slice", () => {
    expect(complete("cm4all-slice", "install", "-p", "MemoryHi")).toEqual(["MemoryHigh="]);
    expect(complete("cm4all-slice", "install", "--property", "MemoryHi")).toEqual(["MemoryHigh="]);
  });

  it("completes commands after two hyphens", () => {
    expect(complete("cm4all-spawn-client", "run", "web", "--", "mkdi")).toContain("mkdir");
  });
});
