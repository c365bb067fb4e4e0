/// <reference path="./fengari.d.ts" />
/// <reference path="./pg/pg.d.ts" />
/** Scripts in the caller's own process, as many as are needed: for measurements. */
export { openLibraries } from "./libs/index.ts";
export { Runtime, type RuntimeOptions } from "./runtime/index.ts";
