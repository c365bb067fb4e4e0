// @ts-check
/** Bundles the worker for tests of threads, because a worker thread has to start from a file. */
import { existsSync, rmSync, symlinkSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { bundle } from "@cm4all/dev/bundle";

const outfile = "dist/test/thread/worker.js";
await bundle({ entry: "test/thread-program/worker.ts", outfile, budgetKiB: 100 });

// The test's process has already loaded the addon of ffi-rs, and cannot load a copy of it as well,
// so the bundle gets a link to the file that is already loaded.
const linux = createRequire(createRequire(import.meta.url).resolve("@cm4all/linux"));
const addon = `ffi-rs.linux-${process.arch}-gnu.node`;
const from = createRequire(linux.resolve("ffi-rs")).resolve(
  `@yuuang/ffi-rs-linux-${process.arch}-gnu`,
);
const link = `${dirname(outfile)}/${addon}`;
if (!existsSync(link)) {
  rmSync(link, { force: true });
  symlinkSync(from, link);
}
