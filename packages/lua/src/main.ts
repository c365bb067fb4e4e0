/** The script host alone, for tests: the daemon has it in its own bundle. */
import { runHost } from "./host.ts";

runHost();
