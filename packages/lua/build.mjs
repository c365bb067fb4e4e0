import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/lua-host.js",
  budgetKiB: 850,
  ffi: true,
});

// Runs a program of Lua, for tests and for the suites of others.
await bundle({ entry: "suites/lua.ts", outfile: "dist/lua.js", budgetKiB: 600, stays: true });
