export { amount, amountIs } from "./amount.ts";
export * from "./columns.ts";
export { CommandFailure, explainDefect, explainFailure } from "./failure.ts";
export { inOneLine, printable, printableLines } from "./printable.ts";
export { didYouMean } from "./suggest.ts";
export * from "./sysexits.ts";
export { padEnd, widthOf } from "./width.ts";
