/** A process whose first thread ends, while another thread goes on. */
import { Worker } from "node:worker_threads";
import { intFunction } from "../../linux/src/libc.ts";

const EXIT_NUMBERS: { readonly [architecture: string]: number } = {
  x64: 60,
  arm64: 93,
  riscv64: 93,
  loong64: 93,
};
/** The number of exit(2), which ends only the thread that calls it. */
const EXIT = EXIT_NUMBERS[process.arch] ?? 1;

const syscall = intFunction("syscall", 2);
new Worker("setInterval(() => {}, 1000)", { eval: true }).once("online", () => syscall(EXIT, 0));
