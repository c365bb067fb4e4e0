import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/lua-host.js",
  budgetKiB: 850,
  ffi: true,
});

// A command that runs a Lua program with our interpreter, for tests and for the test suites of
// other projects.
await bundle({ entry: "suites/lua.ts", outfile: "dist/lua.js", budgetKiB: 600, stays: true });
