export * from "./columns.ts";
export { CommandFailure, explainFailure } from "./failure.ts";
export { didYouMean } from "./suggest.ts";
export * from "./sysexits.ts";
