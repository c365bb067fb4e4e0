// @ts-check
/** Builds dist/libnss_cm4all_logname.so.2 and dist/cm4all-logname.js. */
import { spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { bundle } from "@cm4all/dev/bundle";

const moduleName = "libnss_cm4all_logname.so.2";

/** May be a cross-compiler: `CC=aarch64-linux-gnu-gcc node build.mjs`, in this directory. */
const compiler = process.env.CC || "gcc";
const flags = [
  ...["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-fvisibility=hidden"],
  ...["-fPIC", "-shared", `-Wl,-soname,${moduleName}`],
  // Make relocated data read-only, and treat a symbol that libc does not define as an error.
  ...["-Wl,-z,relro,-z,now", "-Wl,-z,defs"],
];

mkdirSync("dist", { recursive: true });
const outfile = `dist/${moduleName}`;
const result = spawnSync(compiler, [...flags, "-o", outfile, "c/nss_logname.c"], {
  stdio: "inherit",
});
if (result.error) {
  console.error(`${compiler}: ${result.error.message}; the NSS module needs gcc and libc6-dev`);
  process.exit(1);
}
if (result.status !== 0) process.exit(1);
console.log(outfile);

await bundle({ entry: "src/main.ts", outfile: "dist/cm4all-logname.js", budgetKiB: 160 });
