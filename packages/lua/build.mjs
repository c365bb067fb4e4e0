import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/lua-host.js",
  budgetKiB: 720,
  ffi: true,
});
