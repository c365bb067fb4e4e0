/** Packs the library, installs it in another project as the README shows, and uses it there. */
import { spawnSync } from "node:child_process";
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeResponse } from "@cm4all/spawn-protocol";
import { missing } from "@cm4all/testing";
import { snippetsOfText } from "@cm4all/testing/snippets";
import { afterAll, beforeAll, expect, it } from "vitest";
import { FakeDaemon } from "../src/fake-daemon.ts";
import { packageDirectory, Running } from "./helpers.ts";

const project = mkdtempSync(join(tmpdir(), "library-"));
afterAll(() => rmSync(project, { recursive: true }));

const modules = join(project, "node_modules");
const installed = join(modules, "@cm4all/spawn-client");
const root = join(packageDirectory, "../..");
const readme = snippetsOfText(readFileSync(join(packageDirectory, "README.md"), "utf8"));

/** Runs a program; npm asks no questions, and prefers its cache to the network. */
function run(program: string, args: string[], cwd: string): string {
  const env = { ...process.env, npm_config_yes: "true", npm_config_prefer_offline: "true" };
  const { status, stdout, stderr } = spawnSync(program, args, { cwd, env, encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: ${stdout}${stderr}`);
  return stdout;
}

/** Runs the commands of the README, with `archives` in place of /srv/packages. */
function installAsShown(archives: string): void {
  const shown = readme.find(({ testedBy }) => testedBy === "packages/client/test/library.test.ts");
  const lines = shown?.text.replaceAll("/srv/packages", archives).split("\n") ?? [];
  const isInProject = (line: string) => line.endsWith("# in the project");
  const inCheckout = lines.filter((line) => !isInProject(line));
  run("sh", ["-ec", inCheckout.join("\n")], root);
  run("sh", ["-ec", lines.filter(isInProject).join("\n")], project);
}

beforeAll(() => {
  writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  installAsShown(join(project, "archives"));
  mkdirSync(join(modules, "@types"));
  const types = join(packageDirectory, "node_modules/@types/node");
  symlinkSync(realpathSync(types), join(modules, "@types/node"));
});

it("does not depend on packages of this workspace", () => {
  const { dependencies } = JSON.parse(readFileSync(join(installed, "package.json"), "utf8"));
  expect(dependencies).toEqual({ "ffi-rs": expect.stringMatching(/^\d+\.\d+\.\d+$/) });
});

it("can be imported by a plain script", async () => {
  const script = join(project, "script.js");
  writeFileSync(
    script,
    `import { connect } from "@cm4all/spawn-client";
const client = await connect({ socket: process.argv[2] });
const grant = await client.request("foo", { ipc: true, lease: true });
console.log(typeof grant.ipc.fd, typeof grant.lease.inode, grant.pid);
client.close();
// The lease is open, and does not keep the process from ending.
`,
  );
  const contents = { ipc: true, pid: false, user: false, lease: true };
  using daemon = new FakeDaemon(() => ({ bytes: encodeResponse(contents), fdCount: 2 }));
  const { status, stdout, stderr } = await new Running(process.execPath, [script, daemon.address])
    .result;
  expect({ status, stdout, stderr }).toEqual({
    status: 0,
    stdout: "number number undefined\n",
    stderr: "",
  });
});

/**
 * Starts the daemon and runs a script that uses it. Run this in a network namespace of its own, so
 * that the daemon can have its usual address.
 */
const WITH_DAEMON = `
  node=$1 daemon=$2 script=$3
  : >spawn.toml
  "$node" "$daemon" --listen @cm4all-spawn --config spawn.toml --control "" --no-reaper 2>log &
  for i in $(seq 600); do grep -q "listening on" log && break; sleep 0.1; done
  "$node" "$script"
  status=$?
  kill $!
  wait $!
  exit $status`;

it.skipIf(missing("root", "catatonit") !== undefined)("works as its README shows", () => {
  const shown = readme.filter(({ language }) => language === "js");
  expect(shown.length).toBe(1);
  writeFileSync(join(project, "readme.js"), shown[0]?.text ?? "");
  const daemon = join(packageDirectory, "../spawn/dist/cm4all-spawn.js");
  const args = ["-n", "sh", "-c", WITH_DAEMON, "sh", process.execPath, daemon, "readme.js"];
  expect(run("unshare", args, project)).toMatch(/^\d+ \d+\n$/);
});

it("has types that a strict project can use", () => {
  writeFileSync(
    join(project, "user.ts"),
    `import { connect, SpawnError, type Grant, type Handle } from "@cm4all/spawn-client";
const client = await connect({ timeoutMs: 100 });
const grant = await client.request("foo", { ipc: true, user: { uidMap: "0 0 1" } });
export const ipc: Handle = grant.ipc;
export const user: Handle = grant.user;
export const nothing: undefined = grant.pid;
declare const perhaps: boolean;
const some = await client.request("foo", { ipc: perhaps });
export const maybe: Handle | undefined = some.ipc;
// @ts-expect-error it may not be there
export const wrong: Handle = some.ipc;
// @ts-expect-error there is no such namespace
await client.request("foo", { net: true });
export const all: Grant = grant;
export const why = (error: unknown) => error instanceof SpawnError && error.kind === "refused";
`,
  );
  const options = ["--strict", "--noEmit", "--skipLibCheck", "false", "--target", "es2023"];
  const modern = ["--module", "nodenext", "--lib", "es2023,esnext.disposable", "--types", "node"];
  const tsc = join(root, "node_modules/.bin/tsc");
  expect(run(tsc, [...options, ...modern, "user.ts"], project)).toBe("");
});
