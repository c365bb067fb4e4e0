export * from "./columns.ts";
export { CommandFailure, explainFailure } from "./failure.ts";
export * from "./sysexits.ts";
