// @ts-check
import { bundle } from "@cm4all/dev/bundle";

await bundle({ entry: "guest/main.ts", outfile: "dist/guest.js", budgetKiB: 300, ffi: true });
await bundle({ entry: "guest/clients.ts", outfile: "dist/clients.js", budgetKiB: 200, ffi: true });
