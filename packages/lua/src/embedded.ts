/// <reference path="./fengari.d.ts" />
/// <reference path="./pg/pg.d.ts" />
/** Runs any number of scripts in the caller's own process, for measurements. */
export { openLibraries } from "./libs/index.ts";
export { Runtime, type RuntimeOptions } from "./runtime/index.ts";
