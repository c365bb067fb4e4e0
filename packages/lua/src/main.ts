/** The script host as a program of its own, for tests; the daemon's bundle includes it, too. */
import { runHost } from "./host.ts";

runHost();
