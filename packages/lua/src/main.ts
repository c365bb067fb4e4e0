/** The script host as a program of its own, for tests: the daemon has it in its own bundle. */
import { runHost } from "./host.ts";

runHost();
