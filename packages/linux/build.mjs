// @ts-check
/** Compiles c/syscall.c into the addon that src/addon.ts loads, for the target architecture. */
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { hostArchitecture, syscallAddon } from "@cm4all/dev/architecture";
import { findCompiler, NO_COMPILER } from "@cm4all/dev/compiler";

const headers = createRequire(import.meta.url).resolve("node-api-headers/package.json");
/** @param {string | undefined} flags */
const words = (flags = "") => flags.split(/\s+/).filter((word) => word !== "");

const flags = [
  ...words(process.env["CPPFLAGS"]),
  ...words(process.env["CFLAGS"] ?? "-O2"),
  // With -g, the addon would contain the path of the directory in which it is built.
  ...["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-g0"],
  ...["-fPIC", "-shared", "-fvisibility=hidden"],
  // Node itself has the functions of Node-API, so they stay undefined here.
  ...["-isystem", join(dirname(headers), "include")],
  ...words(process.env["LDFLAGS"]),
  ...["-Wl,-z,relro,-z,now"],
];

const outfile = join("dist", syscallAddon(hostArchitecture()));
mkdirSync("dist", { recursive: true });
const compiler = findCompiler();
if (compiler === undefined) {
  // An addon that was built earlier, when there was a compiler, may not match the present source.
  rmSync(outfile, { force: true });
  // If the variable is set, packages/dev/setup.mjs has already reported the lack of a compiler.
  if (process.env["CM4ALL_COMPILER"] === undefined) console.log(NO_COMPILER);
} else {
  // A running program may have the old file mapped, and would crash if it were overwritten.
  const unfinished = `${outfile}.${process.pid}`;
  const args = [...flags, "-o", unfinished, "c/syscall.c"];
  const { status, error } = spawnSync(compiler.command, args, { stdio: "inherit" });
  if (error) throw error;
  if (status !== 0) process.exit(1);
  renameSync(unfinished, outfile);
  console.log(outfile);
}
