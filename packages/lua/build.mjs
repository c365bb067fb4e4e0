import { bundle } from "@cm4all/dev/bundle";

await bundle({
  entry: "src/main.ts",
  outfile: "dist/lua-host.js",
  budgetKiB: 800,
  ffi: true,
});
